//! From what a function returns to a reply, by the rules of Kubeless' Node.js runtime, which are Express's.

use bytes::Bytes;
use contract::{Body, HandlerError, Reply};
use deno_core::v8;
use http::{HeaderValue, header};

use super::{etag, text};
use crate::{call::Request, error};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What a function's return value means.
pub(crate) enum Meaning {
    /// An answer.
    Reply(Reply),
    /// Not to be told without JavaScript: a stream, an object of a class.
    Special,
}

/// What `value` means when the function has not touched its response. JavaScript may run (`toJSON`) and throw.
pub(crate) fn meaning(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    request: &Request,
) -> Result<Meaning, HandlerError> {
    if let Ok(string) = value.try_cast::<v8::String>() {
        return Ok(whole(text(scope, string)));
    }
    if value.is_undefined() || value.is_function() || value.is_symbol() {
        return Ok(Meaning::Reply(Reply::default()));
    }
    if value.is_number() || value.is_boolean() || value.is_big_int() {
        return json(scope, value).map(whole);
    }
    if value.is_null() || value.is_array() || is_plain(scope, value) {
        return object(json(scope, value)?, request);
    }
    if let Some(bytes) = bytes(value) {
        return Ok(Meaning::Reply(Reply::with_type(BYTES, bytes)));
    }
    Ok(Meaning::Special)
}

fn whole(text: Vec<u8>) -> Meaning {
    Meaning::Reply(Reply { body: Body::from(text), ..Reply::default() })
}

fn object(text: Vec<u8>, request: &Request) -> Result<Meaning, HandlerError> {
    let etag = etag::weak(&text);
    if etag::is_fresh(&request.method, &request.headers, &etag) {
        let mut reply = Reply::default();
        reply.set_status(304)?;
        reply.headers.insert(header::ETAG, etag);
        return Ok(Meaning::Reply(reply));
    }
    let mut reply = Reply::with_type(JSON, text);
    reply.headers.insert(header::ETAG, etag);
    Ok(Meaning::Reply(reply))
}

/// Made by a literal, or by `JSON.parse`: nothing in it needs to be looked for.
fn is_plain(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> bool {
    let Ok(object) = value.try_cast::<v8::Object>() else { return false };
    if object.is_proxy() || object.is_array_buffer_view() || object.is_array_buffer() {
        return false;
    }
    match object.get_prototype(scope) {
        Some(prototype) if prototype.is_null() => true,
        Some(prototype) => prototype
            .try_cast::<v8::Object>()
            .ok()
            .and_then(|prototype| prototype.get_prototype(scope))
            .is_some_and(|next| next.is_null()),
        None => false,
    }
}

fn json(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Result<Vec<u8>, HandlerError> {
    v8::tc_scope!(let scope, scope);
    match v8::json::stringify(scope, value) {
        Some(string) => Ok(text(scope, string)),
        None => match scope.exception() {
            Some(thrown) => Err(HandlerError::Raised(error::failure(scope, thrown))),
            None => Err(HandlerError::Stopped),
        },
    }
}

/// Text or bytes of a body; nothing of anything else.
pub(crate) fn piece(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Bytes {
    match value.try_cast::<v8::String>() {
        Ok(string) => text(scope, string).into(),
        Err(_) => bytes(value).unwrap_or_default(),
    }
}

/// A copy of the bytes of a typed array or a DataView.
fn bytes(value: v8::Local<'_, v8::Value>) -> Option<Bytes> {
    if let Ok(view) = value.try_cast::<v8::ArrayBufferView>() {
        let mut bytes = vec![0; view.byte_length()];
        let copied = view.copy_contents(&mut bytes);
        bytes.truncate(copied);
        return Some(bytes.into());
    }
    None
}

/// Status and headers, the latter as names and values by turns.
pub(crate) fn head(
    scope: &mut v8::PinScope<'_, '_>,
    status: i32,
    headers: v8::Local<'_, v8::Array>,
) -> Result<Reply, HandlerError> {
    let mut reply = Reply::default();
    reply.set_status(i64::from(status))?;
    let mut next = |index: u32| {
        let value = headers.get_index(scope, index)?.try_cast::<v8::String>().ok()?;
        Some(latin1(scope, value))
    };
    for index in (0..headers.length()).step_by(2) {
        if let (Some(name), Some(value)) = (next(index), next(index + 1)) {
            reply.append_header(&name, &value)?;
        }
    }
    Ok(reply)
}

/// Node sends characters up to 255 as these bytes, and refuses all others before they come here.
fn latin1(isolate: &mut v8::Isolate, string: v8::Local<'_, v8::String>) -> Vec<u8> {
    match v8::ValueView::new(isolate, string).data() {
        v8::ValueViewData::OneByte(bytes) => bytes.to_vec(),
        v8::ValueViewData::TwoByte(units) => units.iter().map(|unit| *unit as u8).collect(),
    }
}
