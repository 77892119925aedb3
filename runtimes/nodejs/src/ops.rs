//! The native functions that the SDK calls, and the extension that carries both.

use std::rc::Rc;

use contract::{Body, OutputStream};
use deno_core::{OpDecl, op2, v8};
use deno_error::JsErrorBox;

use crate::{
    convert, error,
    output::Printer,
    state::{Running, State},
};

deno_core::extension!(
    funchost,
    deps = [deno_node],
    ops = [
        op_funchost_request,
        op_funchost_body,
        op_funchost_hold,
        op_funchost_settle,
        op_funchost_fail,
        op_funchost_late,
        op_funchost_exit,
        op_funchost_reply,
        op_funchost_begin,
        op_funchost_write,
        op_funchost_end,
        op_funchost_print,
        op_funchost_write_output,
        op_funchost_express,
        op_funchost_node_path,
    ],
    esm_entry_point = "ext:funchost/main.js",
    esm = [dir "sdk", "main.js", "process.js", "node.js", "arguments.js"],
    lazy_loaded_esm = [dir "sdk", "connection.js", "exchange.js"],
    middleware = replace,
);

/// Deno's own functions that are others here.
fn replace(op: OpDecl) -> OpDecl {
    match op.name {
        "op_print" => op.with_implementation_from(&op_funchost_print()),
        "op_require_init_paths" => op.with_implementation_from(&op_funchost_node_path()),
        _ => op,
    }
}

/// The isolate's state; `None` while a snapshot is made.
fn state(isolate: &v8::Isolate) -> Option<Rc<State>> {
    isolate.get_slot::<Rc<State>>().cloned()
}

fn running(isolate: &v8::Isolate, number: u32) -> Option<(Rc<State>, Rc<Running>)> {
    let state = state(isolate)?;
    let running = state.running(number)?;
    Some((state, running))
}

/// The request: method, target, major and minor version, address and port of the client, headers. From now on the
/// function has its response in hand. `undefined` when the call is over.
#[op2]
fn op_funchost_request<'s>(scope: &mut v8::PinScope<'s, '_>, number: u32) -> v8::Local<'s, v8::Value> {
    let Some((_, running)) = running(scope, number) else { return v8::undefined(scope).into() };
    running.held.set(true);
    running.touched.set(true);
    let request = &running.call.request;
    let text = |text: &str| v8::String::new(scope, text).map_or(v8::undefined(scope).into(), Into::into);
    let (major, minor) = match request.version {
        http::Version::HTTP_10 => (1, 0),
        http::Version::HTTP_2 => (2, 0),
        _ => (1, 1),
    };
    let target = convert::target(request);
    let elements: [v8::Local<'s, v8::Value>; 7] = [
        text(request.method.as_str()),
        text(&target),
        v8::Integer::new(scope, major).into(),
        v8::Integer::new(scope, minor).into(),
        text(&request.remote.ip().to_string()),
        v8::Integer::new(scope, i32::from(request.remote.port())).into(),
        convert::headers(scope, request).into(),
    ];
    v8::Array::new_with_elements(scope, &elements).into()
}

/// The request's body as an ArrayBuffer; `undefined` when there is none.
#[op2]
fn op_funchost_body<'s>(scope: &mut v8::PinScope<'s, '_>, number: u32) -> v8::Local<'s, v8::Value> {
    match running(scope, number) {
        Some((_, running)) if !running.call.request.body.is_empty() => {
            convert::buffer(scope, &running.call.request.body).into()
        }
        _ => v8::undefined(scope).into(),
    }
}

/// JavaScript holds something of the call, and wants to hear when it is over. `false` when it is already.
#[op2(fast)]
fn op_funchost_hold(scope: &mut v8::PinScope<'_, '_>, number: u32) -> bool {
    running(scope, number).inspect(|(_, running)| running.held.set(true)).is_some()
}

/// The handler's promise has come to a value. `false` when the answer is for JavaScript to make.
#[op2(nofast, reentrant)]
fn op_funchost_settle(
    scope: &mut v8::PinScope<'_, '_>,
    number: u32,
    value: v8::Local<'_, v8::Value>,
) -> bool {
    state(scope).is_none_or(|state| state.settled(scope, number, value))
}

/// The handler's promise was rejected.
#[op2(nofast, reentrant)]
fn op_funchost_fail(scope: &mut v8::PinScope<'_, '_>, number: u32, thrown: v8::Local<'_, v8::Value>) {
    if let Some(state) = state(scope) {
        let failure = error::failure(scope, thrown);
        state.rejected(number, failure);
    }
}

/// An error that nobody caught.
#[op2(nofast, reentrant)]
fn op_funchost_late(scope: &mut v8::PinScope<'_, '_>, thrown: v8::Local<'_, v8::Value>) {
    if let Some(state) = state(scope) {
        state.late(scope, thrown);
    }
}

/// `process.exit()`: ends the call, and what runs at this moment, but not the host.
#[op2(nofast, reentrant)]
fn op_funchost_exit(scope: &mut v8::PinScope<'_, '_>, code: i32) {
    let Some(state) = state(scope) else { return };
    state.exit(scope, code);
}

/// A whole answer: status, headers as names and values by turns, body as text, bytes or nothing.
#[op2(nofast)]
fn op_funchost_reply(
    scope: &mut v8::PinScope<'_, '_>,
    number: u32,
    status: i32,
    headers: v8::Local<'_, v8::Array>,
    body: v8::Local<'_, v8::Value>,
) {
    let Some((state, running)) = running(scope, number) else { return };
    let reply = convert::head(scope, status, headers).map(|mut reply| {
        reply.body = Body::from(convert::piece(scope, body));
        reply
    });
    // The SDK knows that the call is over, for it has said so.
    running.held.set(false);
    state.finish(number, reply);
}

/// The head of an answer whose body follows. `false` when it cannot be sent, or nobody waits for it.
#[op2(nofast)]
fn op_funchost_begin(
    scope: &mut v8::PinScope<'_, '_>,
    number: u32,
    status: i32,
    headers: v8::Local<'_, v8::Array>,
) -> bool {
    let Some((state, running)) = running(scope, number) else { return false };
    match convert::head(scope, status, headers) {
        Ok(reply) => {
            *running.pipe.borrow_mut() = Some(running.call.begin(reply));
            true
        }
        Err(error) => {
            state.failed(number, error);
            false
        }
    }
}

/// A piece of a body that has begun. `false` when the next one should wait.
#[op2(nofast)]
fn op_funchost_write(scope: &mut v8::PinScope<'_, '_>, number: u32, piece: v8::Local<'_, v8::Value>) -> bool {
    let Some((_, running)) = running(scope, number) else { return true };
    let piece = convert::piece(scope, piece);
    running.pipe.borrow().as_ref().is_none_or(|pipe| {
        let room = pipe.write(piece);
        pipe.take_reader().into_iter().for_each(|reader| crate::batch::ANSWERS.add(reader));
        room
    })
}

/// A body that has begun is complete.
#[op2(fast)]
fn op_funchost_end(scope: &mut v8::PinScope<'_, '_>, number: u32) {
    if let Some((state, running)) = running(scope, number) {
        running.held.set(false);
        state.finish(number, Ok(Default::default()));
    }
}

/// Text that the function prints.
#[op2(fast)]
fn op_funchost_print(
    scope: &mut v8::PinScope<'_, '_>,
    #[string] text: &str,
    is_err: bool,
) -> Result<(), JsErrorBox> {
    print(scope, text.as_bytes(), is_err);
    Ok(())
}

/// Bytes that the function prints.
#[op2(fast)]
fn op_funchost_write_output(scope: &mut v8::PinScope<'_, '_>, #[buffer] bytes: &[u8], is_err: bool) {
    print(scope, bytes, is_err);
}

fn print(scope: &mut v8::PinScope<'_, '_>, bytes: &[u8], is_err: bool) {
    let stream = if is_err { OutputStream::Stderr } else { OutputStream::Stdout };
    if let Some(state) = state(scope) {
        let running = state.current(scope);
        state.print(stream, bytes, running.as_deref());
    } else if let Some(printer) = scope.get_slot::<Rc<Printer>>() {
        // A thread that user code has started.
        printer.write(stream, bytes, None, None);
    }
}

/// The source of Express, as a CommonJS module.
#[op2]
fn op_funchost_express<'s>(scope: &mut v8::PinScope<'s, '_>) -> v8::Local<'s, v8::Value> {
    const SOURCE: &str = include_str!("../../../third_party/express/express.cjs");
    v8::String::new(scope, SOURCE).map_or(v8::undefined(scope).into(), Into::into)
}

/// The folders of `NODE_PATH`.
#[op2]
fn op_funchost_node_path(scope: &mut v8::PinScope<'_, '_>) -> Vec<String> {
    let folders = state(scope).map(|state| state.node_path());
    folders.unwrap_or_default()
}
