//! Rules for request heads beyond what the parser checks: whatever two readers could understand differently is
//! refused. The parser itself refuses control characters, bad names, bad versions and bad lengths with 400.

use http::{Method, Request, Version};

use super::{
    fields::{Field, Fields},
    problem::Problem,
};

/// The share of the head that the request target may take.
const TARGET_SHARE: usize = 4;

/// Checks a head that the parser let through; `fields` are its headers, `limit` is the largest head in bytes, `raw` what came
/// on the wire.
pub(super) fn check<B>(
    request: &Request<B>,
    fields: &Fields<'_>,
    limit: usize,
    raw: &[u8],
) -> Result<(), Problem> {
    check_target(request)?;
    let target = target_size(request);
    if target > limit / TARGET_SHARE {
        return Err(Problem::UriTooLong(target, limit / TARGET_SHARE));
    }
    let size = target + fields.size;
    if size > limit {
        return Err(Problem::HeadTooLarge(size, limit));
    }
    if request.version() < Version::HTTP_2 {
        check_coding(request.method(), fields.transfer_encoding, raw)?;
    }
    check_host(request, fields.host)
}

/// A path, or `*` for OPTIONS (RFC 9112 section 3.2); a tunnel is not to be had.
fn check_target<B>(request: &Request<B>) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::NotAllowed("CONNECT asks for a tunnel, which a function cannot be".to_owned()));
    }
    let path = request.uri().path();
    if path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS) {
        return Ok(());
    }
    let shown = request.uri().to_string().escape_debug().to_string();
    Err(malformed(&format!("request target \"{shown}\" is not a path; allowed: /..., and * for OPTIONS")))
}

/// The parser asks only that `chunked` comes last; what lies below it would reach the function undecoded. And it
/// resolves a Content-Length beside it in favour of the chunks and hides the length (RFC 9112 section 6.1), so that
/// has to be looked for in the bytes.
fn check_coding(method: &Method, codings: Field<'_>, raw: &[u8]) -> Result<(), Problem> {
    let Some(coding) = codings.first() else { return Ok(()) };
    if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || codings.only().is_none() {
        let shown = String::from_utf8_lossy(coding.as_bytes()).escape_debug().to_string();
        return Err(malformed(&format!("transfer coding \"{shown}\" is not known; allowed: chunked, once")));
    }
    match head_lines(method, raw) {
        None => Err(malformed("a chunked request must not be pipelined behind another")),
        Some(mut lines) => match lines.any(is_content_length) {
            true => Err(malformed("the request has both Content-Length and Transfer-Encoding")),
            false => Ok(()),
        },
    }
}

/// The lines of a whole HTTP/1 head that `raw` begins with; `None` when it does not begin with one of this method.
fn head_lines<'a>(method: &Method, raw: &'a [u8]) -> Option<impl Iterator<Item = &'a [u8]>> {
    let start = raw.iter().position(|b| !b"\r\n".contains(b))?;
    let head = &raw[start..];
    let lines = || head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let ends = lines().count() > 1 + lines().take_while(|line| !line.is_empty()).count();
    let begins = head.strip_prefix(method.as_str().as_bytes())?.first() == Some(&b' ');
    (begins && ends).then(|| lines().take_while(|line| !line.is_empty()))
}

fn is_content_length(line: &[u8]) -> bool {
    let name = line.split(|b| *b == b':').next().unwrap_or_default();
    line.len() > name.len() && name.trim_ascii().eq_ignore_ascii_case(b"content-length")
}

fn malformed(problem: &str) -> Problem {
    Problem::Malformed(problem.to_owned())
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1. With HTTP/2 the authority stands for it, and a Host beside it
/// must be the same (RFC 9113 section 8.3.1).
fn check_host<B>(request: &Request<B>, host: Field<'_>) -> Result<(), Problem> {
    let http1 = request.version() < Version::HTTP_2;
    match host {
        Field::Repeated(_) => Err(malformed("the request has more than one Host header")),
        Field::Absent if request.version() == Version::HTTP_11 => {
            Err(malformed("the request has no Host header"))
        }
        Field::Once(host) if !is_host(host.as_bytes()) => {
            Err(malformed("the Host header is not a host and a port"))
        }
        Field::Once(host) if !http1 && request.uri().authority().is_some_and(|a| a.as_str() != host) => {
            Err(malformed("the Host header and the authority differ"))
        }
        _ => Ok(()),
    }
}

/// The bytes that a registered name may hold (RFC 3986 section 3.2.2).
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=%";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// `host [":" port]`, where the host is a name, an IPv4 address or an IPv6 address in brackets.
fn is_host(value: &[u8]) -> bool {
    let in_name = |b: &u8| IN_NAME[usize::from(*b)];
    let in_address = |b: &u8| b.is_ascii_hexdigit() || b":.".contains(b);
    let (valid, rest) = match value.strip_prefix(b"[") {
        Some(address) => {
            let end = address.iter().position(|b| *b == b']').unwrap_or(0);
            (end > 0 && address[..end].iter().all(in_address), address.get(end + 1..).unwrap_or_default())
        }
        None => {
            let end = value.iter().position(|b| *b == b':').unwrap_or(value.len());
            (end > 0 && value[..end].iter().all(in_name), &value[end..])
        }
    };
    valid && (rest.is_empty() || rest[0] == b':' && rest[1..].iter().all(u8::is_ascii_digit))
}

fn target_size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    uri.path().len() + uri.query().map_or(0, |query| query.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_status(request: http::request::Builder) -> u16 {
        let request = request.body(()).unwrap();
        check(&request, &Fields::of(request.headers()), 4096, b"")
            .map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    fn get(uri: &str) -> http::request::Builder {
        Request::get(uri).header("host", "example")
    }

    #[test]
    fn heads_over_a_limit_are_refused_with_the_status_that_says_which() {
        assert_eq!(check_status(get("/")), 200);
        assert_eq!(check_status(get(&format!("/{}", "a".repeat(1023)))), 200);
        assert_eq!(check_status(get(&format!("/{}", "a".repeat(1024)))), 414);
        assert_eq!(check_status(get("/").header("x", "a".repeat(4096))), 431);
    }

    #[test]
    fn there_is_exactly_one_host() {
        assert_eq!(check_status(Request::get("/")), 400);
        assert_eq!(check_status(Request::get("/").version(Version::HTTP_10)), 200);
        assert_eq!(check_status(Request::get("http://example/").version(Version::HTTP_2)), 200);
        assert_eq!(check_status(get("/").header("host", "example")), 400);
        let two = |uri: &str| Request::get(uri).version(Version::HTTP_2).header("host", "example");
        assert_eq!(check_status(two("http://example/")), 200);
        assert_eq!(check_status(two("http://other/")), 400);
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in ["a", "a.b-c:80", "127.0.0.1", "[::1]", "[::1]:80", "a:", "x_y"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a:b", "a:80:80", "a@b", "a/b", "[]", "[::1", "[::1]80", "[g]", "a\"<b>", "ä"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_are_paths() {
        for (method, uri, status) in [
            ("GET", "/", 200),
            ("GET", "http://example/a", 200),
            ("OPTIONS", "*", 200),
            ("GET", "*", 400),
            ("GET", "example:80", 400),
            ("CONNECT", "example:80", 405),
        ] {
            let request = Request::builder().method(method).uri(uri).header("host", "example");
            assert_eq!(check_status(request), status, "{method} {uri}");
        }
    }

    #[test]
    fn a_length_beside_the_chunked_coding_is_seen_in_any_order_and_case() {
        let lengths =
            |head: &str| head_lines(&Method::POST, head.as_bytes()).map(|mut l| l.any(is_content_length));
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nCONTENT-LENGTH:3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\ncontent-length: 3\nTransfer-Encoding: chunked\n\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        ] {
            assert_eq!(lengths(head), Some(true), "{head:?}");
        }
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 3\r\n",
            "POST / HTTP/1.1\r\nContent-Length-Hint: 3\r\n\r\n",
            "POST /content-length HTTP/1.1\r\nx: content-length: 3\r\n\r\n",
        ] {
            assert_eq!(lengths(head), Some(false), "{head:?}");
        }
        for head in
            ["", "\r\n", "P/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n", "POSTS / \r\n\r\n"]
        {
            assert_eq!(lengths(head), None, "{head:?}");
        }
    }
}
