//! Cross-origin requests: the host answers preflights, and lets every origin read what the function answers unless
//! the function says otherwise.

use http::{HeaderMap, HeaderValue, Method, Response, header};

use super::body::Outgoing;

/// A preflight is an OPTIONS request that asks about a method; any other OPTIONS request is the function's.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Allows what was asked for.
pub(super) fn preflight(asked: &HeaderMap) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::empty());
    let headers = response.headers_mut();
    allow_any_origin(headers);
    for (question, answer) in [
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = asked.get(question) {
            headers.insert(answer, value.clone());
        }
    }
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    response
}

/// Lets every origin read the response, unless the function has decided.
pub(super) fn allow_any_origin(headers: &mut HeaderMap) {
    headers.entry(header::ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(HeaderValue::from_static("*"));
}
