//! What the function is told: event and context, spelled as in Kubeless' Node.js runtime.

use http::Method;
use serde_json::{Value, json};

use crate::support::Function;

#[test]
fn event_and_context_have_exactly_the_ancestors_keys() {
    let function = Function::serve(
        "exports.handler = ({ extensions, ...event }, context) =>\n\
         \x20 [Object.keys(event), Object.keys(context), 'request' in extensions, 'response' in extensions]",
    );
    let expected = json!([
        ["data", "event-id", "event-type", "event-time", "event-namespace"],
        ["function-name", "timeout", "runtime", "memory-limit"],
        true,
        true
    ]);
    assert_eq!(function.get("/").json(), expected);
}

/// Says what it got, absent values included.
const ECHO: &str = "
exports.handler = (event, context) => {
  const { extensions, ...rest } = event
  const told = { ...rest, ...context }
  return Object.fromEntries(Object.entries(told).map(([name, value]) => [name, value === undefined ? 'undefined' : value]))
}
";

#[test]
fn what_is_absent_is_undefined() {
    assert_eq!(
        Function::serve(ECHO).get("/").json(),
        json!({
            "data": {}, "event-id": "undefined", "event-type": "undefined", "event-time": "undefined",
            "event-namespace": "undefined", "function-name": "handler", "timeout": 180, "runtime": "undefined",
            "memory-limit": "undefined"
        })
    );
}

#[test]
fn event_fields_are_headers_and_the_context_is_the_environment() {
    let variables = [("FUNC_TIMEOUT", "2.5"), ("FUNC_RUNTIME", "nodejs14"), ("FUNC_MEMORY_LIMIT", "0")];
    let function = Function::serve_with(ECHO, &variables);
    let answer = function
        .request(Method::POST, "/")
        .header("Event-ID", "4711")
        .header("event-type", "application/json")
        .header("EVENT-TIME", "2026-11-20T07:22:01Z")
        .header("event-namespace", b"caf\xe9")
        .body("raw")
        .send()
        .json();
    assert_eq!(
        answer,
        json!({
            "data": "raw", "event-id": "4711", "event-type": "application/json",
            "event-time": "2026-11-20T07:22:01Z", "event-namespace": "café",
            "function-name": "handler", "timeout": 2.5, "runtime": "nodejs14", "memory-limit": "0"
        })
    );
}

#[test]
fn repeated_headers_are_joined() {
    let function = Function::serve("exports.handler = (event) => event['event-id']");
    let answer = function.request(Method::GET, "/").header("event-id", "a").header("event-id", "b").send();
    assert_eq!(answer.text(), "a, b");
}

#[test]
fn json_is_parsed_text_is_a_string_and_the_rest_a_buffer() {
    let function = Function::serve(
        "const { inspect } = require('util')\n\
         exports.handler = (event) => inspect(event.data, { depth: 200, breakLength: Infinity, compact: 300 })",
    );
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let cases: &[(&str, &[u8], &str)] = &[
        ("application/json", b"{\"a\": [1, 2.5, null, true]}", "{ a: [ 1, 2.5, null, true ] }"),
        ("application/json; charset=utf-8", b"\"text\"", "'text'"),
        ("Application/JSON", b"1", "1"),
        ("application/json", "\"ü😀\"".as_bytes(), "'ü😀'"),
        ("application/json", b"\"\\u0000\"", "'\\x00'"),
        ("application/json", b" {} ", "{}"),
        ("application/json", b"null", "null"),
        ("application/json", b"{\"__proto__\": 1, \"a-b\": 2}", "{ ['__proto__']: 1, 'a-b': 2 }"),
        ("application/json", b"[1e400, -0, 12345678901234567890]", "[ Infinity, -0, 12345678901234567000 ]"),
        ("application/x+json", b"{}", "'{}'"),
        ("text/plain", b"{}", "'{}'"),
        ("text/plain", "grüße 😀".as_bytes(), "'grüße 😀'"),
        ("text/plain", b"a\x00b", "'a\\x00b'"),
        ("application/octet-stream", b"ascii", "'ascii'"),
        ("application/octet-stream", b"\x00\xff", "<Buffer 00 ff>"),
        ("text/plain", b"\xc3", "<Buffer c3>"),
        ("application/x-www-form-urlencoded", b"a=b&c[d]=e", "'a=b&c[d]=e'"),
        ("multipart/form-data; boundary=x", b"--x--", "{}"),
        ("text/plain", b"", "<Buffer >"),
    ];
    for (media_type, body, data) in cases {
        let answer = function.post("/", media_type, *body);
        assert_eq!((answer.status, answer.text().as_str()), (200, *data), "{media_type} {body:?}");
    }
    let answer = function.post("/", "application/json", nested.as_str());
    assert_eq!(answer.text().replace(' ', ""), nested);
    assert_eq!(function.get("/").text(), "{}");
    assert_eq!(function.request(Method::DELETE, "/").send().text(), "{}");
    // Without a media type, too.
    assert_eq!(function.request(Method::POST, "/").body("plain").send().text(), "'plain'");
}

#[test]
fn malformed_json_never_reaches_the_function() {
    let function =
        Function::serve_with("let calls = 0\nexports.handler = () => ++calls", &[("FUNC_WORKERS", "1")]);
    for body in ["{", "nope", "{'a': 1}", "[1,]", &"[".repeat(100_000)] {
        let answer = function.post("/", "application/json", body);
        assert_eq!(answer.status, 400, "{}", &body[..body.len().min(20)]);
    }
    assert_eq!(function.post("/", "application/json", [b'"', 0xff, b'"']).status, 400);
    assert_eq!(function.get("/").text(), "1");
    let metrics = function.get("/metrics").text();
    assert!(!metrics.contains("function_calls_total{method=\"POST\"}"), "{metrics}");
}

#[test]
fn what_a_function_does_to_its_arguments_does_not_reach_the_next_call() {
    let function = Function::serve_with(
        "exports.handler = (event, context) => {\n\
         \x20 const seen = [event.more, context.more, event.extensions.more, context.timeout, event.data.more].map(String)\n\
         \x20 event.more = context.more = event.extensions.more = event.data.more = 1\n\
         \x20 context.timeout = event['event-id'] = 'changed'\n\
         \x20 return seen\n\
         }",
        &[("FUNC_WORKERS", "1")],
    );
    for _ in 0..3 {
        assert_eq!(
            function.get("/").json(),
            json!(["undefined", "undefined", "undefined", "180", "undefined"])
        );
    }
}

#[test]
fn globals_live_as_long_as_the_worker_and_async_storage_as_long_as_the_call() {
    let function = Function::serve_with(
        "const { AsyncLocalStorage } = require('async_hooks')\n\
         const storage = new AsyncLocalStorage()\n\
         let calls = 0\n\
         exports.handler = () => {\n\
         \x20 const seen = storage.getStore() ?? 'fresh'\n\
         \x20 storage.enterWith('stale')\n\
         \x20 return [++calls, seen]\n\
         }",
        &[("FUNC_WORKERS", "1")],
    );
    for call in 1..4 {
        assert_eq!(function.get("/").json(), json!([call, "fresh"]));
    }
}

#[test]
fn a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not() {
    let function = Function::serve_with(
        "let calls = 0\nexports.handler = (event) => [++calls, event.data.length]",
        &[("FUNC_WORKERS", "1")],
    );
    let bytes = |size: usize| function.post("/", "application/octet-stream", vec![0xff; size]);
    assert_eq!(bytes(1_048_576).json(), json!([1, 1_048_576]));
    assert_eq!(bytes(1_048_577).status, 413);
    assert_eq!(bytes(1).json(), json!([2, 1]));
}

#[test]
fn a_trace_and_a_request_id_are_handed_on() {
    let function = Function::serve(
        "exports.handler = ({ extensions: { request } }) => [request.get('traceparent'), request.get('x-request-id')]",
    );
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = function
        .request(Method::GET, "/")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-request-id", "mine")
        .send();
    let told = answer.json();
    assert!(told[0].as_str().is_some_and(|parent| parent.contains(trace)), "{told}");
    assert_eq!(told[1], Value::from("mine"));
}
