//! Rules for request heads beyond what the parser checks: whatever two readers could understand differently is
//! refused. The parser itself refuses control characters, bad names, bad versions and bad lengths with 400.

use http::{HeaderMap, Method, Request, Version, header};

use super::problem::Problem;

/// The share of the head that the request target may take.
const TARGET_SHARE: usize = 4;

/// Checks a head that the parser let through; `limit` is the largest head in bytes.
pub(super) fn check<B>(request: &Request<B>, limit: usize) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::NotAllowed("CONNECT asks for a tunnel, which a function cannot be".to_owned()));
    }
    let target = target_size(request);
    if target > limit / TARGET_SHARE {
        return Err(Problem::UriTooLong(target, limit / TARGET_SHARE));
    }
    let size = target + head_size(request.headers());
    if size > limit {
        return Err(Problem::HeadTooLarge(size, limit));
    }
    check_coding(request.headers())?;
    check_host(request)
}

/// The parser asks only that `chunked` comes last. What lies below it would reach the function undecoded.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(coding.as_bytes()).escape_debug().to_string();
    Err(Problem::Malformed(format!("transfer coding \"{shown}\" is not known; allowed: chunked, once")))
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1; with HTTP/2 the authority stands for it.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next();
    let problem = match (first, hosts.next()) {
        (Some(_), Some(_)) => "the request has more than one Host header",
        (None, _) if request.version() == Version::HTTP_11 => "the request has no Host header",
        (Some(host), None) if host.as_bytes().iter().any(|b| b" \t,/@?#\\".contains(b) || *b >= 0x80) => {
            "the Host header is not a host and a port"
        }
        _ => return Ok(()),
    };
    Err(Problem::Malformed(problem.to_owned()))
}

fn target_size<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    uri.path().len() + uri.query().map_or(0, |query| query.len() + 1)
}

/// As the client sent it: each field with its colon, its space and its line end.
fn head_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Whether a raw HTTP/1 head announces its body in two ways at once (RFC 9112 section 6.1). The parser resolves
/// this in favour of the chunked coding and hides the length, so it has to be looked for in the bytes.
pub(super) fn has_content_length(head: &[u8]) -> bool {
    let name = b"content-length";
    head.split(|b| *b == b'\n')
        .skip(1)
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
        .any(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_status(request: http::request::Builder) -> u16 {
        check(&request.body(()).unwrap(), 4096).map_or_else(|problem| problem.status().as_u16(), |()| 200)
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
        assert_eq!(check_status(Request::get("/").header("host", "a b")), 400);
        assert_eq!(check_status(Request::get("/").header("host", "[::1]:80")), 200);
    }

    #[test]
    fn a_length_beside_the_chunked_coding_is_seen_in_any_order_and_case() {
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nCONTENT-LENGTH:3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\ncontent-length: 3\nTransfer-Encoding: chunked\n\n",
        ] {
            assert!(has_content_length(head.as_bytes()), "{head:?}");
        }
        for head in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 3\r\n",
            "POST /content-length HTTP/1.1\r\nx: content-length: 3\r\n\r\n",
        ] {
            assert!(!has_content_length(head.as_bytes()), "{head:?}");
        }
    }
}
