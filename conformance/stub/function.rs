//! The fixtures, in Rust.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::calls::State;
use crate::reply::{Body, Reply};
use crate::request::Head;
use crate::{broken, broken_any, log};

/// One call, as the function sees it.
pub(crate) struct Call {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) traceparent: String,
    pub(crate) is_cancelled: AtomicBool,
}

impl Call {
    fn name(&self) -> Option<String> {
        self.head.header("event-id")
    }

    fn number(&self, name: &str) -> u64 {
        self.head.parameter(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn is_stopped(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }
}

/// Runs the function; the error is the message of its failure.
pub(crate) fn run(state: &'static State, call: &std::sync::Arc<Call>) -> Result<Reply, String> {
    match state.config.fixture.as_str() {
        "event" => Ok(event(state, call)),
        "reply" => Ok(reply(call)),
        "fail" => fail(state, call),
        "work" => work(state, call),
        "async" => Ok(waits(call)),
        "stream" => Ok(stream(state, call)),
        "upload" => Ok(upload(call)),
        "siblings" if broken("load.4/empty-dependency-file-does-no-harm") => Err("an empty file".to_owned()),
        "siblings" => Ok(Reply::new(
            200,
            if broken("load.3/siblings-are-found") { "alone" } else { "the sibling says hello" },
        )),
        "dependencies" if broken("load.5/dependency-is-found") => Err("no dependency".to_owned()),
        "dependencies" => Ok(Reply::new(200, "the dependency says hello")),
        "slow-load" => {
            let pause = if broken("load.12/loaded-before-calls") { 4500 } else { 1000 };
            if broken_any(&["load.12/loaded-before-calls", "load.12/loaded-once"]) {
                std::thread::sleep(Duration::from_millis(pause));
            }
            Ok(Reply::new(200, "loaded"))
        }
        other => Err(format!("there is no fixture {other}")),
    }
}

/// What the function `event` tells wrongly with a defect: where, and what instead.
const WRONG: &[(&str, &str, &str)] = &[
    ("event.1/id", "/event/id", "null"),
    ("event.1/type", "/event/type", "null"),
    ("event.1/time", "/event/time", "null"),
    ("event.1/namespace", "/event/namespace", "null"),
    ("event.2/names-in-any-case", "/event/id", "null"),
    ("event.3/absent-is-nothing", "/event/time", "\"now\""),
    ("event.4/function-name", "/context/function-name", "\"function\""),
    ("event.4/timeout", "/context/timeout", "\"180\""),
    ("event.4/runtime", "/context/runtime", "null"),
    ("event.4/memory-limit", "/context/memory-limit", "null"),
    ("event.5/default-timeout", "/context/timeout", "\"60\""),
    ("event.6/method", "/request/method", "\"GET\""),
    ("event.6/path", "/request/path", "\"/\""),
    ("event.6/query", "/request/query", "\"a=1\""),
    ("event.6/headers", "/request/headers", "{}"),
    ("event.6/repeated-headers", "/request/headers/x-twice", "\"one\""),
    ("event.6/cookies", "/request/headers/cookie", "\"a=b\""),
    ("event.7/calls-do-not-mix", "/event/id", "\"id-0\""),
    ("data.1/text-arrives", "/data/base64", "\"\""),
    ("data.5/form-is-not-parsed", "/data/base64", "\"\""),
    ("data.5/without-a-type", "/data/base64", "\"\""),
    ("data.2/json-arrives", "/data/value", "{}"),
    ("data.3/object", "/data/kind", "\"bytes\""),
    ("data.3/array", "/data/kind", "\"bytes\""),
    ("data.3/text", "/data/value", "\"other\""),
    ("data.3/with-parameters", "/data/kind", "\"bytes\""),
    ("data.3/type-in-any-case", "/data/kind", "\"bytes\""),
    ("data.5/suffix-json-is-not-parsed", "/data", "{\"kind\": \"value\", \"value\": {\"a\": 1}}"),
    ("data.5/text-like-json-is-not-parsed", "/data", "{\"kind\": \"value\", \"value\": {\"a\": 1}}"),
    ("data.6/every-byte-arrives", "/data/base64", "\"AAAA\""),
    ("data.6/not-utf-8-arrives", "/data/base64", "\"AAAA\""),
    ("data.7/get-has-none", "/data/base64", "\"eA==\""),
    ("data.7/length-of-0-has-none", "/data/base64", "\"eA==\""),
    ("data.9/coded-json-is-json", "/data", "{\"kind\": \"bytes\", \"base64\": \"AAAA\"}"),
    ("methods.1/post", "/data/base64", "\"\""),
    ("methods.4/any-path", "/request/path", "\"/\""),
    (
        "trace.3/trace-id-is-taken-over",
        "/request/headers/traceparent",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"",
    ),
    (
        "trace.3/span-is-the-hosts",
        "/request/headers/traceparent",
        "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
    ),
    ("trace.3/trace-is-made", "/request/headers/traceparent", "null"),
    ("trace.4/broken-trace-is-replaced", "/request/headers/traceparent", "\"00-zz-not-a-trace\""),
    (
        "trace.4/zero-trace-is-replaced",
        "/request/headers/traceparent",
        "\"00-00000000000000000000000000000000-00f067aa0ba902b7-01\"",
    ),
    ("trace.5/tracestate-is-passed-on", "/request/headers/tracestate", "null"),
];

fn event(state: &State, call: &Call) -> Reply {
    if broken("load.1/function-is-called") {
        return Reply::new(200, "a page of the server's own");
    }
    if let Some(name) = call.name() {
        log::print(state, &format!("called {name}"));
    }
    let head = &call.head;
    let kind = head.header("content-type").unwrap_or_default().to_lowercase();
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
    let data = match serde_json::from_slice::<Value>(&call.body) {
        Ok(value) if is_json => json!({"kind": "value", "value": value}),
        _ => json!({"kind": "bytes", "base64": base64::engine::general_purpose::STANDARD.encode(&call.body)}),
    };
    let mut headers = serde_json::Map::new();
    for (name, _) in &head.headers {
        headers.insert(name.clone(), json!(head.header(name)));
    }
    headers.insert("traceparent".to_owned(), json!(call.traceparent));
    let mut told = json!({
        "data": data,
        "event": {
            "id": head.header("event-id"),
            "type": head.header("event-type"),
            "time": head.header("event-time"),
            "namespace": head.header("event-namespace"),
        },
        "context": {
            "function-name": state.config.handler,
            "timeout": state.config.timeout.to_string(),
            "runtime": state.config.runtime,
            "memory-limit": state.config.memory,
        },
        "request": {"method": head.method, "path": head.path, "query": head.query, "headers": headers},
    });
    for (check, place, value) in WRONG {
        if broken(check)
            && let Some(slot) = told.pointer_mut(place)
        {
            *slot = serde_json::from_str(value).unwrap_or_default();
        }
    }
    Reply::new(200, told.to_string())
}

fn reply(call: &Call) -> Reply {
    let kind = call.head.parameter("as").unwrap_or_default();
    let text = Reply::new(200, "hello world");
    match kind {
        "text" if broken("reply.1/text-is-the-body") => Reply::new(200, "\"hello world\""),
        "text" => text,
        "unicode" if broken("reply.1/unicode-is-utf-8") => Reply::new(200, b"gr\xfc\xdfe".to_vec()),
        "unicode" => Reply::new(200, "grüße 🌍"),
        "nothing" => Reply::new(200, if broken("reply.2/nothing-is-an-empty-200") { "null" } else { "" }),
        "object" if broken("reply.3/object-is-json") => Reply::new(200, "[object Object]"),
        "object" if broken("reply.3/object-has-its-type") => {
            Reply::new(200, "{\"hello\": \"world\", \"n\": 1}")
        }
        "object" => {
            Reply::new(200, "{\"hello\": \"world\", \"n\": 1}").with("content-type", "application/json")
        }
        "bytes" if broken("reply.4/bytes-stay-as-they-are") => Reply::new(200, "{\"type\": \"Buffer\"}"),
        "bytes" => Reply::new(200, (0..=255).collect::<Vec<u8>>()),
        "status" => {
            let status = if broken_any(&["reply.5/status-is-kept", "methods.3/head-calls-the-function"]) {
                200
            } else {
                201
            };
            let mut reply = Reply::new(status, "created")
                .with("x-fixture", "reply")
                .with("content-type", "text/x-fixture");
            if broken("reply.5/headers-are-kept") {
                reply.drop_header("x-fixture");
            }
            if broken("reply.5/type-is-kept") {
                reply.drop_header("content-type");
            }
            reply
        }
        "redirect" => Reply::new(302, "")
            .with("location", if broken("reply.5/redirect-is-kept") { "/" } else { "/elsewhere" }),
        "cookies" if broken("reply.5/cookies-stay-two") => text.with("set-cookie", "a=1, b=2"),
        "cookies" => text.with("set-cookie", "a=1").with("set-cookie", "b=2"),
        "unavailable" if broken("reply.5/error-page-is-kept") => Reply::new(503, "Service Unavailable"),
        "unavailable" => Reply::new(503, "my own page"),
        "no-content" => Reply::new(204, ""),
        "own-408" => {
            if broken("reply.7/own-408-harms-nothing") {
                end_soon();
            }
            Reply::new(408, "too slow for me")
        }
        "big" => {
            let size = call.number("size") as usize;
            Reply::new(200, vec![b'x'; if broken("reply.8/large-arrives-whole") { size / 2 } else { size }])
        }
        "own-cors" => text.with("access-control-allow-origin", "https://example.org"),
        "split" if broken("security.5/header-cannot-split") => text.with("x-injected", "yes"),
        "false-length" if broken("security.5/length-cannot-lie") => text.with("content-length", "3"),
        "hop" if broken("security.5/framing-is-the-servers") => text.with("transfer-encoding", "chunked"),
        _ => text,
    }
}

/// Ends the process in a second, as some runtimes do after a 408.
pub(crate) fn end_soon() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(1));
        crate::leave(1);
    });
}

fn fail(state: &'static State, call: &Call) -> Result<Reply, String> {
    let how = call.head.parameter("how").unwrap_or_default();
    match how {
        "raise" => Err("secret-3f9c".to_owned()),
        "odd" => Err("secret-5a17".to_owned()),
        "exit" if broken("errors.6/exit-is-500") => Ok(Reply::new(502, "it has gone")),
        "exit" if broken("errors.6/serves-after-exit") => crate::leave(3),
        "exit" => Err("it has ended".to_owned()),
        "wait" => {
            log::print(state, &format!("begun {}", call.name().unwrap_or_default()));
            let before = state.failures.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(call.number("ms")));
            let others = state.failures.load(Ordering::SeqCst) > before;
            if others && broken("errors.8/failure-harms-no-neighbour") {
                Err("as a neighbour".to_owned())
            } else {
                Ok(Reply::new(200, "fine"))
            }
        }
        _ => Ok(Reply::new(200, "fine")),
    }
}

fn work(state: &'static State, call: &Call) -> Result<Reply, String> {
    let what = call.head.parameter("do").unwrap_or_default();
    let end = Instant::now() + Duration::from_millis(call.number("ms"));
    let text = call.head.parameter("text").unwrap_or_default();
    if let Some(name) = call.name() {
        let say = move |line: String| log::print(state, &line);
        if broken("logs.2/print-comes-at-once") {
            // It is seen when the call is over.
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(21));
                say(format!("begun {name}"));
            });
        } else {
            say(format!("begun {name}"));
        }
    }
    let goes_on = match what {
        "spin" => {
            broken("deadline.8/spinning-is-stopped") || broken_any(&["drain.4/late-call-does-not-hold-it-up"])
        }
        _ => broken_any(&[
            "deadline.8/sleeping-is-stopped",
            "concurrency.6/client-that-leaves-frees-its-place",
        ]),
    };
    match what {
        "sleep" | "spin" => {
            while Instant::now() < end {
                if call.is_stopped() && !goes_on {
                    return Err("stopped".to_owned());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        "print" if broken("logs.2/print-is-not-in-the-answer") => {
            return Ok(Reply::new(200, format!("{text}\ndone")));
        }
        "print" => (0..call.number("times").max(1)).for_each(|_| log::print(state, text)),
        "complain" if broken("logs.2/errors-are-logged-too") => {}
        "complain" => log::complain(text),
        _ => {}
    }
    if let Some(name) = call.name() {
        log::print(state, &format!("ended {name}"));
    }
    Ok(Reply::new(200, "done"))
}

fn waits(call: &Call) -> Reply {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    static MOST: Mutex<usize> = Mutex::new(0);
    let now = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
    {
        let mut most = MOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *most = now.max(*most);
    }
    std::thread::sleep(Duration::from_millis(call.number("ms")));
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    let most = *MOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let inside = if broken("concurrency.2/many-wait-at-once") { 1 } else { most };
    Reply::new(200, json!({"state": "the only one", "inside": inside}).to_string())
}

fn stream(state: &'static State, call: &std::sync::Arc<Call>) -> Reply {
    let (sender, pieces) = sync_channel(1);
    let call = std::sync::Arc::clone(call);
    std::thread::spawn(move || {
        let name = call.name();
        if let Some(name) = &name {
            log::print(state, &format!("begun {name}"));
        }
        let (count, pause, size) =
            (call.number("pieces"), Duration::from_millis(call.number("ms")), call.number("size") as usize);
        if let (Some(name), true) = (&name, broken("reply.12/slow-client-slows-it")) {
            log::print(state, &format!("stopped {name}"));
        }
        for number in 1..=count {
            if number > 1 {
                std::thread::sleep(pause);
            }
            let piece = format!("{:<1$}\n", format!("piece {number}"), size.saturating_sub(1));
            let is_lost = number == 50 && broken("reply.10/pieces-are-all-there");
            if !is_lost && sender.send(Ok(piece.into_bytes())).is_err() {
                break;
            }
        }
        if call.head.parameter("then") == Some("raise") && !broken("reply.11/failure-cuts-off") {
            std::thread::sleep(pause);
            let _ = sender.send(Err(()));
        }
        if let Some(name) = name
            && !broken("reply.12/client-that-leaves-stops-it")
        {
            log::print(state, &format!("stopped {name}"));
        }
    });
    if broken("reply.10/pieces-come-when-they-are-made") {
        return Reply::new(200, pieces.into_iter().flatten().flatten().collect::<Vec<u8>>());
    }
    Reply { status: 200, headers: Vec::new(), body: Body::Stream(pieces) }
}

fn upload(call: &Call) -> Reply {
    let text = String::from_utf8_lossy(&call.body).into_owned();
    let mut parts = HashMap::new();
    for part in text.split("--fence").filter_map(|part| part.split_once("\r\n\r\n")) {
        let name = part.0.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        parts.insert(name.to_owned(), part.1.strip_suffix("\r\n").unwrap_or(part.1).to_owned());
    }
    let title = if broken("data.11/fields-arrive") { None } else { parts.get("title") };
    let file = parts.get("file").cloned().unwrap_or_default();
    let name = if broken("data.11/file-arrives") { "" } else { "notes.txt" };
    Reply::new(
        200,
        json!({"title": title, "file": {"name": name, "size": file.len(), "text": file}}).to_string(),
    )
}
