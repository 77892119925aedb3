//! The WSGI environment that Bottle's request object reads.

use std::collections::BTreeMap;

use http::{HeaderMap, Version, header, uri::Authority};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};

use super::event::widen;
use crate::call::Request;

/// Headers that described the message on its way and are not true of the body that the function gets: it is
/// complete, unchunked and inflated.
const OF_THE_WAY: [header::HeaderName; 2] = [header::TRANSFER_ENCODING, header::CONTENT_ENCODING];

/// What a WSGI server makes of a request (PEP 3333).
pub(crate) fn environ<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    let authority = authority(request);
    let host = authority.as_ref().map_or("localhost", |authority| authority.host());
    let port = authority.as_ref().and_then(Authority::port_u16).unwrap_or(80);
    environ.set_item("REQUEST_METHOD", request.method.as_str())?;
    environ.set_item("SCRIPT_NAME", "")?;
    environ.set_item("PATH_INFO", widen(&percent_decoded(request.uri.path())))?;
    environ.set_item("QUERY_STRING", request.uri.query().unwrap_or_default())?;
    environ.set_item("SERVER_NAME", host)?;
    environ.set_item("SERVER_PORT", port.to_string())?;
    environ.set_item("SERVER_PROTOCOL", protocol(request.version))?;
    environ.set_item("REMOTE_ADDR", request.remote.ip().to_canonical().to_string())?;
    environ.set_item("REMOTE_PORT", request.remote.port().to_string())?;
    if let Some(authority) = &authority {
        environ.set_item("HTTP_HOST", authority.as_str())?;
    }
    for (name, value) in variables(&request.headers) {
        environ.set_item(name, value)?;
    }
    environ.set_item("CONTENT_LENGTH", request.body.len().to_string())?;
    environ.set_item("wsgi.version", PyTuple::new(py, [1, 0])?)?;
    environ.set_item("wsgi.url_scheme", "http")?;
    let body = py.import("io")?.getattr("BytesIO")?.call1((PyBytes::new(py, &request.body),))?;
    environ.set_item("wsgi.input", body)?;
    environ.set_item("wsgi.input_terminated", true)?;
    environ.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
    environ.set_item("wsgi.multithread", true)?;
    environ.set_item("wsgi.multiprocess", false)?;
    environ.set_item("wsgi.run_once", false)?;
    Ok(environ)
}

/// Whom the client thinks it talks to. HTTP/2 says it in the URI.
fn authority(request: &Request) -> Option<Authority> {
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    request.uri.authority().cloned().or_else(|| host?.parse().ok())
}

/// The headers under their names in WSGI, repeated ones joined.
///
/// A header whose name holds an underscore would come out under the name of the one with a hyphen; as other servers
/// do, it is left out, because proxies that set or remove the one with a hyphen do not know of it.
fn variables(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        if OF_THE_WAY.contains(name) || name.as_str().contains('_') {
            continue;
        }
        let plain = name.as_str().to_ascii_uppercase().replace('-', "_");
        let key = if name == header::CONTENT_TYPE { plain } else { format!("HTTP_{plain}") };
        if name == header::CONTENT_LENGTH {
            continue;
        }
        let value = widen(value.as_bytes());
        variables
            .entry(key)
            .and_modify(|all| {
                all.push_str(if name == header::COOKIE { "; " } else { "," });
                all.push_str(&value);
            })
            .or_insert(value);
    }
    variables
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// A path without percent-encoding; what is no valid encoding stays as it is.
fn percent_decoded(path: &str) -> Vec<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let decoded = match (first, more) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high * 16 + low) as u8),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &more[2..] } else { more };
    }
    bytes
}
