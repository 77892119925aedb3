//! Stopping user code that keeps its isolate to itself, and no other.

use std::rc::Rc;

use contract::HandlerError;
use deno_core::v8;

use crate::state::State;

/// The key in V8's continuation data that holds the number of the running call. V8 carries that data along promises;
/// Node's `AsyncLocalStorage` lives in it as well, and copies what it finds there.
pub(crate) const KEY: &str = "funchost";

/// Frames of a stack that the log shows.
const FRAMES: usize = 20;

/// Called by V8 on the isolate's thread, in the middle of whatever runs. When that is the user code of a call that
/// nobody waits for any more it is stopped. Code of another call is not; the server will ask again.
pub(crate) fn check(isolate: &mut v8::Isolate) {
    let Some(state) = isolate.get_slot::<Rc<State>>().cloned() else { return };
    v8::scope!(let scope, isolate);
    let context = v8::Local::new(scope, &state.context);
    let scope = &mut v8::ContextScope::new(scope, context);
    let victim = match state.current(scope) {
        Some(running) => running.call.stopped().is_some().then_some(running),
        // Nobody knows whose code this is. That of a socket or another event is not tied to a call.
        None => state.held_up(),
    };
    let Some(running) = victim else { return };
    if is_in_deno(scope) && state.spare() {
        return;
    }
    if let Some(stack) = stack(scope) {
        running.call.witness.tell(stack, false);
    }
    state.finish(running.call.number, Err(HandlerError::Stopped));
    state.retire();
    scope.terminate_execution();
}

/// Whether the innermost code is Deno's own. It loads its scripts when they are first needed, and ends the process when
/// one is stopped in the middle; there is always a better moment soon.
fn is_in_deno(scope: &mut v8::PinScope<'_, '_>) -> bool {
    let trace = v8::StackTrace::current_stack_trace(scope, 1);
    let frame = trace.filter(|trace| trace.get_frame_count() > 0).and_then(|trace| trace.get_frame(scope, 0));
    let script = frame.and_then(|frame| frame.get_script_name(scope));
    script.is_some_and(|script| {
        let script = script.to_rust_string_lossy(scope);
        ["ext:", "node:"].iter().any(|scheme| script.starts_with(scheme))
    })
}

/// Where JavaScript is at this moment.
fn stack(scope: &mut v8::PinScope<'_, '_>) -> Option<String> {
    let trace = v8::StackTrace::current_stack_trace(scope, FRAMES)?;
    let lines = (0..trace.get_frame_count()).filter_map(|index| {
        let frame = trace.get_frame(scope, index)?;
        let script = frame.get_script_name(scope).map(|name| name.to_rust_string_lossy(scope))?;
        if script.starts_with("ext:") {
            return None;
        }
        let function = frame.get_function_name(scope).map(|name| name.to_rust_string_lossy(scope));
        let (line, column) = (frame.get_line_number(), frame.get_column());
        Some(match function.filter(|name| !name.is_empty()) {
            Some(function) => format!("    at {function} ({script}:{line}:{column})\n"),
            None => format!("    at {script}:{line}:{column}\n"),
        })
    });
    let lines: String = lines.collect();
    (!lines.is_empty()).then_some(lines)
}
