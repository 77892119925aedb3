//! A function's reply as a response: what the contract adds, and what a function may not set.

use contract::Reply;
use http::{HeaderMap, HeaderName, Response, header};

use super::body::Outgoing;

/// Fields that describe one connection (RFC 9110 section 7.6.1) or the framing: both are the server's to choose.
const THE_SERVERS: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // The true length is known here, or there is none.
    header::CONTENT_LENGTH,
];

/// Takes over status and headers; the body is added by the caller.
pub(super) fn response(reply: &mut Reply, body: Outgoing) -> Response<Outgoing> {
    let mut headers = std::mem::take(&mut reply.headers);
    sanitize(&mut headers);
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = headers;
    response
}

fn sanitize(headers: &mut HeaderMap) {
    // Functions hardly ever set one of these.
    if !headers.keys().any(|name| THE_SERVERS.contains(name)) {
        return;
    }
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &THE_SERVERS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_connection_headers_of_the_function_are_dropped() {
        let mut reply = Reply::default();
        for (name, value) in [
            ("content-length", "3"),
            ("content-length", "4"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-private, close"),
            ("x-private", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ] {
            reply.append_header(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let response = response(&mut reply, Outgoing::empty());
        let left: Vec<_> =
            response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(left, [("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    }
}
