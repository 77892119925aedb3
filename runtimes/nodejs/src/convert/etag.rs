//! What Express does with the answers it makes of objects: a weak validator, and 304 when the client has them already.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, header};
use sha1::{Digest as _, Sha1};

/// `W/"length-hash"`, as the package etag writes it: the length in hexadecimal digits, and a SHA-1 in base64.
pub(super) fn weak(body: &[u8]) -> HeaderValue {
    let hash = BASE64_STANDARD_NO_PAD.encode(Sha1::digest(body));
    let etag = format!("W/\"{:x}-{hash}\"", body.len());
    HeaderValue::from_str(&etag).unwrap_or_else(|_| unreachable!("digits and letters"))
}

/// Whether the client has what it asks for: the rules of the package fresh for an answer without `Last-Modified`.
pub(super) fn is_fresh(method: &Method, request: &HeaderMap, etag: &HeaderValue) -> bool {
    if (method != Method::GET && method != Method::HEAD) || request.contains_key(header::IF_MODIFIED_SINCE) {
        return false;
    }
    let Some(candidates) = request.get(header::IF_NONE_MATCH) else { return false };
    let reload =
        request.get_all(header::CACHE_CONTROL).iter().flat_map(items).any(|item| item == b"no-cache");
    let same = |item: &[u8]| item == b"*" || weakly(item) == weakly(etag.as_bytes());
    !reload && items(candidates).any(same)
}

fn items(list: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn weakly(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_those_of_express() {
        // From Express 4: `res.json({ hello: 'world' })`.
        assert_eq!(weak(br#"{"hello":"world"}"#), r#"W/"11-IkjuL6CqqtmReFMfkkvwC0sKj04""#);
    }

    #[test]
    fn a_client_that_has_it_is_told_so_unless_it_wants_it_anew() {
        let etag = HeaderValue::from_static(r#"W/"1-a""#);
        for (method, name, value, fresh) in [
            ("GET", "if-none-match", r#"W/"1-a""#, true),
            ("HEAD", "if-none-match", r#""0-b" , "1-a""#, true),
            ("GET", "if-none-match", "*", true),
            ("GET", "if-none-match", r#""0-b""#, false),
            ("POST", "if-none-match", r#"W/"1-a""#, false),
            ("GET", "if-modified-since", "Fri, 20 Nov 2026 00:00:00 GMT", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let method = method.parse().unwrap();
            assert_eq!(is_fresh(&method, &headers, &etag), fresh, "{method} {value}");
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0, no-cache"));
            assert!(!is_fresh(&method, &headers, &etag));
        }
    }
}
