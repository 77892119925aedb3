//! The arguments of a call.

use contract::{
    DataKind, HandlerError,
    event::{EVENT_ID, EVENT_NAMESPACE, EVENT_TIME, EVENT_TYPE},
};
use deno_core::v8;
use http::{HeaderName, HeaderValue, Version, header};

use crate::call::{Call, Request};

/// How the event's data is to be made of the second argument.
#[derive(Clone, Copy)]
enum Data {
    /// It is the data.
    Ready = 0,
    /// It is an ArrayBuffer, to be wrapped in a Buffer.
    Bytes = 1,
    /// There was no body.
    None = 2,
}

/// What the SDK's `invoke` takes: the call's number, the data and what it is, and the four fields that came as headers.
pub(crate) type Arguments<'s> = [v8::Local<'s, v8::Value>; 7];

/// Makes them. Fails when the body says it is JSON and is not.
pub(crate) fn arguments<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    call: &Call,
) -> Result<Arguments<'s>, HandlerError> {
    let (data, kind) = data(scope, call)?;
    let headers = &call.request.headers;
    let number = v8::Number::new(scope, f64::from(call.number)).into();
    let kind = v8::Integer::new(scope, kind as i32).into();
    let field = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => v8::undefined(scope).into(),
            (Some(value), None) => header_value(scope, value).into(),
            // As Node joins lines of the same name.
            _ => {
                let all: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                one_byte(scope, &all.join(&b", "[..])).into()
            }
        }
    };
    Ok([
        number,
        data,
        kind,
        field(&EVENT_ID),
        field(&EVENT_TYPE),
        field(&EVENT_TIME),
        field(&EVENT_NAMESPACE),
    ])
}

fn data<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    call: &Call,
) -> Result<(v8::Local<'s, v8::Value>, Data), HandlerError> {
    let request = &call.request;
    let body = &request.body;
    if request.data_kind == DataKind::Multipart {
        return Ok((v8::undefined(scope).into(), Data::None));
    }
    if body.is_empty() {
        // Announced and empty is an empty Buffer; not announced is no body.
        let announced = request.headers.contains_key(header::CONTENT_LENGTH)
            || request.headers.contains_key(header::TRANSFER_ENCODING);
        return Ok(if announced {
            (v8::ArrayBuffer::new(scope, 0).into(), Data::Bytes)
        } else {
            (v8::undefined(scope).into(), Data::None)
        });
    }
    let text = string(scope, body);
    if request.data_kind == DataKind::Json {
        let text = text.ok_or_else(|| HandlerError::BadData("it is not UTF-8".to_owned()))?;
        return json(scope, text).map(|data| (data, Data::Ready));
    }
    Ok(match text {
        Some(text) => (text.into(), Data::Ready),
        None => (buffer(scope, body).into(), Data::Bytes),
    })
}

fn json<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: v8::Local<'_, v8::String>,
) -> Result<v8::Local<'s, v8::Value>, HandlerError> {
    v8::tc_scope!(let scope, scope);
    if let Some(data) = v8::json::parse(scope, text) {
        return Ok(data);
    }
    let reason = scope.message().map(|message| message.get(scope).to_rust_string_lossy(scope));
    let reason = reason.unwrap_or_default();
    let reason = reason.strip_prefix("Uncaught SyntaxError: ").unwrap_or(&reason);
    Err(HandlerError::BadData(reason.to_owned()))
}

/// A string of UTF-8; `None` if it is not, or longer than V8's strings can be.
fn string<'s>(scope: &v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::String>> {
    if bytes.is_ascii() {
        return v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal);
    }
    std::str::from_utf8(bytes).ok()?;
    v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal)
}

/// The request's body as an ArrayBuffer of its own.
pub(crate) fn buffer<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> v8::Local<'s, v8::ArrayBuffer> {
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes.to_vec()).make_shared();
    v8::ArrayBuffer::with_backing_store(scope, &store)
}

/// HTTP's headers are bytes; Node shows them as the characters of these numbers.
fn header_value<'s>(scope: &v8::PinScope<'s, '_>, value: &HeaderValue) -> v8::Local<'s, v8::String> {
    one_byte(scope, value.as_bytes())
}

fn one_byte<'s>(scope: &v8::PinScope<'s, '_>, bytes: &[u8]) -> v8::Local<'s, v8::String> {
    v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
        .unwrap_or_else(|| v8::String::empty(scope))
}

/// All headers as Node's `rawHeaders`: names and values by turns.
pub(crate) fn headers<'s>(scope: &v8::PinScope<'s, '_>, request: &Request) -> v8::Local<'s, v8::Array> {
    // HTTP/2 has the host in the target.
    let authority = request.uri.authority().filter(|_| !request.headers.contains_key(header::HOST));
    let host = authority.map(|host| ("host", host.as_str().as_bytes()));
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let flat: Vec<v8::Local<'s, v8::Value>> = host
        .into_iter()
        .chain(headers)
        .flat_map(|(name, value)| [one_byte(scope, name.as_bytes()).into(), one_byte(scope, value).into()])
        .collect();
    v8::Array::new_with_elements(scope, &flat)
}

/// What is asked for, as a request line has it.
pub(crate) fn target(request: &Request) -> String {
    match request.uri.path_and_query() {
        // HTTP/2 sends scheme and authority beside the path.
        Some(path) if request.version == Version::HTTP_2 || request.uri.authority().is_none() => {
            path.to_string()
        }
        _ => request.uri.to_string(),
    }
}
