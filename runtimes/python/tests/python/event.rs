//! What the function is told: event and context, spelled as in Kubeless' Python runtime.

use serde_json::json;

use crate::support::Function;

#[test]
fn event_and_context_have_exactly_the_ancestors_keys() {
    let function = Function::serve_with(
        "def handler(event, context):\n\
         \x20   return [list(event), list(context), type(event).__name__, type(context).__name__,\n\
         \x20           list(event['extensions'])]\n",
        &[],
    );
    let expected = json!([
        ["data", "event-id", "event-type", "event-time", "event-namespace", "extensions"],
        ["function-name", "timeout", "runtime", "memory-limit"],
        "dict",
        "dict",
        ["request"]
    ]);
    assert_eq!(function.get("/").json(), expected);
}

const ECHO: &str = "
def handler(event, context):
    del event['extensions']
    event['data'] = repr(event['data'])
    return {**event, **context}
";

#[test]
fn what_is_absent_is_none() {
    let answer = Function::serve(ECHO).get("/").json();
    assert_eq!(
        answer,
        json!({
            "data": "b''", "event-id": null, "event-type": null, "event-time": null, "event-namespace": null,
            "function-name": "handler", "timeout": 180.0, "runtime": null, "memory-limit": null
        })
    );
}

#[test]
fn event_fields_are_headers_and_the_context_is_the_environment() {
    let variables = [("FUNC_TIMEOUT", "2.5"), ("FUNC_RUNTIME", "python3.13"), ("FUNC_MEMORY_LIMIT", "128Mi")];
    let function = Function::serve_with(ECHO, &variables);
    let answer = function
        .request(http::Method::POST, "/")
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
            "data": "b'raw'", "event-id": "4711", "event-type": "application/json",
            "event-time": "2026-11-20T07:22:01Z", "event-namespace": "café",
            "function-name": "handler", "timeout": 2.5, "runtime": "python3.13", "memory-limit": "128Mi"
        })
    );
}

#[test]
fn the_function_is_called_what_it_calls_itself() {
    for (code, name) in [
        ("def real(event, context): return context['function-name']\nhandler = real", "real"),
        ("handler = lambda event, context: context['function-name']", "<lambda>"),
        (
            "import functools\n\
             def real(prefix, event, context): return context['function-name']\n\
             handler = functools.partial(real, 'x')",
            "handler",
        ),
        (
            "class Callable:\n    def __call__(self, event, context): return context['function-name']\n\
             handler = Callable()",
            "handler",
        ),
    ] {
        assert_eq!(Function::serve(code).get("/").text(), name, "{code}");
    }
}

#[test]
fn json_is_parsed_and_everything_else_is_bytes() {
    let function = Function::serve("def handler(event, context): return repr(event['data'])");
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let utf16: Vec<u8> = "\u{feff}{\"a\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: &[(&str, &[u8], &str)] = &[
        ("application/json", b"{\"a\": [1, 2.5, null, true]}", "{'a': [1, 2.5, None, True]}"),
        ("application/json; charset=utf-8", b"\"text\"", "'text'"),
        ("Application/JSON", b"1", "1"),
        ("application/json", b"", "None"),
        ("application/json", "\"ü😀\"".as_bytes(), "'ü😀'"),
        ("application/json", b"\"\\u0000\"", "'\\x00'"),
        ("application/json", nested.as_bytes(), nested.as_str()),
        ("application/json", &utf16, "{'a': 1}"),
        ("application/x+json", b"{}", "b'{}'"),
        ("text/plain", b"{}", "b'{}'"),
        ("application/octet-stream", b"\x00\xff", "b'\\x00\\xff'"),
        ("application/x-www-form-urlencoded", b"a=b", "b'a=b'"),
        ("multipart/form-data; boundary=x", b"--x--", "b'--x--'"),
    ];
    for (media_type, body, data) in cases {
        let answer = function.post("/", media_type, *body);
        assert_eq!((answer.status, answer.text().as_str()), (200, *data), "{media_type} {body:?}");
    }
}

#[test]
fn malformed_json_never_reaches_the_function() {
    let function =
        Function::serve("calls = 0\ndef handler(event, context):\n global calls; calls += 1; return calls");
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
    let function = Function::serve(
        "def handler(event, context):\n\
         \x20   seen = [event.get('more'), context.get('more'), event['extensions'].get('more')]\n\
         \x20   event['more'] = context['more'] = event['extensions']['more'] = 1\n\
         \x20   context['timeout'] = event['event-id'] = 'changed'\n\
         \x20   return seen",
    );
    for _ in 0..3 {
        assert_eq!(function.get("/").json(), json!([null, null, null]));
    }
}

#[test]
fn globals_live_as_long_as_the_host_and_context_variables_as_long_as_the_call() {
    let function = Function::serve_with(
        "import contextvars\n\
         calls = 0\n\
         var = contextvars.ContextVar('var', default='fresh')\n\
         def handler(event, context):\n\
         \x20   global calls\n\
         \x20   calls += 1\n\
         \x20   seen = var.get()\n\
         \x20   var.set('stale')\n\
         \x20   return [calls, seen]",
        &[("FUNC_THREADS", "1")],
    );
    for call in 1..4 {
        assert_eq!(function.get("/").json(), json!([call, "fresh"]));
    }
}

#[test]
fn a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not() {
    let function = Function::serve(
        "calls = 0\n\
         def handler(event, context):\n\
         \x20   global calls\n\
         \x20   calls += 1\n\
         \x20   return [calls, len(event['data'])]\n",
    );
    let bytes = |size: usize| function.post("/", "application/octet-stream", vec![0xff; size]);
    assert_eq!(bytes(1_048_576).json(), json!([1, 1_048_576]));
    assert_eq!(bytes(1_048_577).status, 413);
    assert_eq!(bytes(1).json(), json!([2, 1]));
}
