//! JavaScript's errors in the contract's words.

use contract::{Failure, LoadError};
use deno_core::v8;

/// The report of a value that was thrown. Most are errors; anything can be thrown, and reading an error's properties
/// may run user code, which may throw as well.
pub(crate) fn failure(scope: &mut v8::PinScope<'_, '_>, thrown: v8::Local<'_, v8::Value>) -> Failure {
    let Ok(error) = v8::Local::<v8::Object>::try_from(thrown) else {
        let message = text(scope, thrown);
        return Failure { kind: kind_of_value(thrown).to_owned(), message, stack: String::new() };
    };
    let name = property(scope, error, "name")
        .unwrap_or_else(|| error.get_constructor_name().to_rust_string_lossy(scope));
    let message = property(scope, error, "message").unwrap_or_else(|| text(scope, thrown));
    let mut stack = property(scope, error, "stack").map(|stack| of_the_function(&stack)).unwrap_or_default();
    append_causes(scope, error, &mut stack);
    // The stack of a module that cannot be compiled does not say where; V8 does.
    if name == "SyntaxError"
        && !stack.contains("\n    at ")
        && let Some(place) = place(scope, thrown)
    {
        stack = format!("{place}\n{stack}");
    }
    Failure { kind: name, message, stack }
}

/// Without the frames of the host's, Deno's and Node's own scripts, which mean nothing to the function's author.
fn of_the_function(stack: &str) -> String {
    let ours = |line: &&str| {
        let is_frame = line.trim_start().starts_with("at ");
        !(is_frame && (line.contains("ext:") || line.contains("node:")))
    };
    stack.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

/// Script, line and the line itself.
fn place(scope: &mut v8::PinScope<'_, '_>, error: v8::Local<'_, v8::Value>) -> Option<String> {
    let message = v8::Exception::create_message(scope, error);
    let script = message.get_script_resource_name(scope)?.to_rust_string_lossy(scope);
    let line = message.get_line_number(scope)?;
    let text = message.get_source_line(scope)?.to_rust_string_lossy(scope);
    Some(format!("{script}:{line}\n    {}", text.trim()))
}

/// An error that was made of another one tells of that as well; how deep that may go is bounded.
fn append_causes(scope: &mut v8::PinScope<'_, '_>, error: v8::Local<'_, v8::Object>, stack: &mut String) {
    const DEPTH: usize = 8;
    let mut outer = v8::Local::new(scope, error);
    for _ in 0..DEPTH {
        let Some(cause) = get(scope, outer, "cause").and_then(|cause| cause.try_cast::<v8::Object>().ok())
        else {
            return;
        };
        if let Some(text) = property(scope, cause, "stack").or_else(|| property(scope, cause, "message")) {
            stack.push_str("\nCaused by: ");
            stack.push_str(&of_the_function(&text));
        }
        outer = cause;
    }
}

fn get<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    v8::tc_scope!(let scope, scope);
    let name = v8::String::new(scope, name)?;
    object.get(scope, name.into())
}

/// A property that holds text which is not empty.
fn property(
    scope: &mut v8::PinScope<'_, '_>,
    object: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<String> {
    let value = get(scope, object, name)?;
    let text = value.is_string().then(|| value.to_rust_string_lossy(scope))?;
    (!text.is_empty()).then_some(text)
}

fn text(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> String {
    v8::tc_scope!(let scope, scope);
    // Of an object that is no error, its data says more than its name.
    if value.is_object()
        && let Some(json) = v8::json::stringify(scope, value)
        && json.length() > "{}".len()
    {
        return json.to_rust_string_lossy(scope);
    }
    match value.to_detail_string(scope) {
        Some(text) => text.to_rust_string_lossy(scope),
        None => "the value that was thrown cannot be described".to_owned(),
    }
}

fn kind_of_value(value: v8::Local<'_, v8::Value>) -> &'static str {
    if value.is_string() {
        "string"
    } else if value.is_undefined() {
        "undefined"
    } else if value.is_null() {
        "null"
    } else if value.is_number() {
        "number"
    } else {
        "value"
    }
}

/// A failure to load the function where it is not the process's end: it had been loaded before.
pub(crate) fn of_load(error: &LoadError) -> Failure {
    match error {
        LoadError::Failed { message, stack } => {
            Failure { kind: "LoadError".to_owned(), message: message.clone(), stack: stack.clone() }
        }
        other => Failure { kind: "LoadError".to_owned(), message: other.to_string(), stack: String::new() },
    }
}
