//! Connections, and what becomes of each request.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::calls::State;
use crate::connection::Connection;
use crate::function::{self, Call};
use crate::reply::Reply;
use crate::request::Head;
use crate::{broken, broken_any, log};

pub(crate) fn accept(listener: &TcpListener, state: &'static State) {
    for stream in listener.incoming().flatten() {
        let many = state.connections.fetch_add(1, Ordering::SeqCst);
        if many > 100 && broken("limits.8/slow-clients-hold-up-nobody") {
            state.connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        std::thread::spawn(move || {
            Connection::new(stream, state).serve();
            state.connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// The server's own answer, if the path is one of its own.
pub(crate) fn own(state: &'static State, head: &Head) -> Option<Reply> {
    let is_read = head.method == "GET" || head.method == "HEAD";
    let is_misrouted = match (head.method.as_str(), head.path.as_str()) {
        ("POST", "/healthz") => broken("health.6/post-is-the-functions"),
        ("PUT", "/readyz") => broken("health.6/put-readyz-is-the-functions"),
        ("GET", "/healthz/more") => broken("health.6/longer-path-is-the-functions"),
        ("GET", "/healthzz") => broken("health.6/similar-path-is-the-functions"),
        _ => false,
    };
    if is_misrouted {
        return Some(Reply::new(200, "OK"));
    }
    if !is_read {
        return None;
    }
    let is_head = head.method == "HEAD";
    let allowed = |reply: Reply| {
        if broken("cors.2/host-paths-have-none") {
            reply.with("access-control-allow-origin", "*")
        } else {
            reply
        }
    };
    let reply = match head.path.as_str() {
        "/healthz" => {
            // Whoever waits for the server must be able to see it.
            let is_bad = broken("health.1/get-is-200") && state.was_ready.load(Ordering::SeqCst)
                || is_head && broken("health.2/head-has-no-body")
                || !head.query.is_empty() && broken("health.2/query-does-not-matter")
                || state.running() > 0
                    && broken_any(&[
                        "health.3/alive-while-the-function-spins",
                        "health.3/alive-while-all-places-are-taken",
                    ])
                || state.is_draining.load(Ordering::SeqCst) && broken("drain.3/still-alive");
            let body = if broken("health.2/body-is-ok") { "fine" } else { "OK" };
            if is_bad { Reply::new(500, "") } else { Reply::new(200, body) }
        }
        "/readyz" => {
            let is_ready =
                state.is_ready.load(Ordering::SeqCst) || broken("health.5/not-ready-while-loading");
            let is_draining =
                state.is_draining.load(Ordering::SeqCst) && !broken("drain.3/not-ready-at-once");
            let is_upset =
                state.failures.load(Ordering::SeqCst) >= 20 && broken("health.7/stays-ready-after-failures");
            if broken("health.4/ready-when-loaded") || is_head && broken("health.4/head-too") {
                Reply::new(404, "")
            } else if is_ready && !is_draining && !is_upset {
                state.was_ready.store(true, Ordering::SeqCst);
                Reply::new(200, "OK")
            } else {
                Reply::new(503, "not ready")
            }
        }
        "/metrics" if is_head && broken("metrics.1/head-has-no-body") => Reply::new(405, ""),
        "/metrics" if state.running() > 0 && broken("concurrency.7/host-paths-need-no-place") => {
            Reply::new(503, "")
        }
        "/metrics" => {
            let kind =
                if broken("metrics.1/have-their-type") { "text/html" } else { "text/plain; version=0.0.4" };
            Reply::new(200, state.metrics.text()).with("content-type", kind)
        }
        _ => return None,
    };
    if broken("metrics.5/host-paths-are-no-calls") {
        state.metrics.count("GET", false, 0.0);
    }
    Some(allowed(reply))
}

/// The answer to a preflight, if this is one.
pub(crate) fn preflight(state: &State, head: &Head) -> Option<Reply> {
    let asked = head.header("access-control-request-method")?;
    if head.method != "OPTIONS"
        || !state.config.cors && !broken("cors.6/off-gives-preflights-to-the-function")
    {
        return None;
    }
    if broken("metrics.5/preflights-are-no-calls") {
        state.metrics.count("OPTIONS", false, 0.0);
    }
    if broken("cors.4/function-is-not-called") {
        log::print(state, &format!("called {}", head.header("event-id").unwrap_or_default()));
    }
    let fields = head.header("access-control-request-headers").unwrap_or_default();
    let mut reply = Reply::new(if broken("cors.3/preflight-is-answered") { 405 } else { 204 }, "")
        .with("access-control-allow-origin", "*");
    if !broken("cors.3/method-is-allowed") {
        reply = reply.with("access-control-allow-methods", &asked);
    }
    if !broken("cors.3/headers-are-allowed") {
        reply = reply.with("access-control-allow-headers", &fields);
    }
    Some(reply)
}

/// What a request is answered with before the function is called, if it is not called.
fn refused(head: &Head) -> Option<Reply> {
    let checked: &[(&str, &str, u16)] = &[
        ("GET", "methods.1/get", 405),
        ("PUT", "methods.2/put", 405),
        ("PATCH", "methods.2/patch", 405),
        ("DELETE", "methods.2/delete", 405),
        ("FROBNICATE", "methods.2/unusual", 501),
    ];
    let found = checked.iter().find(|(method, check, _)| head.method == *method && broken(check));
    found.map(|(_, _, status)| Reply::new(*status, ""))
}

/// Calls the function, and waits for it no longer than its client and its deadline do. Nothing when the client has left.
pub(crate) fn call(
    state: &'static State,
    (head, body, traceparent): (Head, Vec<u8>, String),
    deadline: Instant,
    mut is_left: impl FnMut() -> bool,
) -> Option<Reply> {
    if let Some(reply) = refused(&head) {
        return Some(reply);
    }
    if state.running() > 0 && broken("deadline.4/neighbours-are-answered") {
        return Some(Reply::new(500, ""));
    }
    if state.is_draining.load(Ordering::SeqCst) && broken("drain.3/still-accepts") {
        return Some(Reply::new(503, ""));
    }
    let place = match state.enter() {
        Ok(place) => place,
        Err(status) if broken("concurrency.3/retry-after") => return Some(Reply::new(status, "")),
        Err(status) => return Some(Reply::new(status, "").with("retry-after", "1")),
    };
    let (method, began) = (head.method.clone(), Instant::now());
    let trace = traceparent.split('-').nth(1).unwrap_or_default().to_owned();
    let call = Arc::new(Call { head, body, traceparent, is_cancelled: AtomicBool::new(false) });
    let (sender, result) = channel();
    {
        let call = Arc::clone(&call);
        std::thread::spawn(move || {
            let result = function::run(state, &call);
            drop(place);
            let _ = sender.send(result);
        });
    }
    let deadline =
        if broken("deadline.2/not-before-its-time") { began + Duration::from_secs(1) } else { deadline };
    let deadline = if broken("deadline.2/answer-waits-for-the-deadline") { began } else { deadline };
    let outcome = loop {
        match result.recv_timeout(Duration::from_millis(5)) {
            Ok(outcome) => break Some(outcome),
            Err(RecvTimeoutError::Disconnected) => break Some(Err("the call is lost".to_owned())),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break None,
            Err(RecvTimeoutError::Timeout) if is_left() => {
                call.is_cancelled.store(true, Ordering::SeqCst);
                return None;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    let failed = !matches!(outcome, Some(Ok(_)));
    count(state, &method, failed, outcome.is_none(), began);
    Some(match outcome {
        Some(Ok(reply)) => reply,
        Some(Err(message)) => failure(state, &message, &trace),
        None => {
            call.is_cancelled.store(true, Ordering::SeqCst);
            let what = call.head.parameter("do").unwrap_or_default();
            let ends = what == "sleep" && broken("deadline.3/serves-after-408")
                || what == "spin" && broken("deadline.3/serves-after-spinning");
            if ends {
                function::end_soon();
            }
            let is_wrong = broken("deadline.1/fraction-is-408")
                || what == "sleep" && broken("deadline.1/sleeping-is-408")
                || what == "spin" && broken("deadline.1/spinning-is-408");
            Reply::new(if is_wrong { 504 } else { 408 }, "too late")
        }
    })
}

fn count(state: &State, method: &str, failed: bool, late: bool, began: Instant) {
    let is_lost = late && broken("deadline.5/counts-as-a-failure")
        || method == "GET" && broken("metrics.2/get-is-counted")
        || method == "POST" && broken_any(&["metrics.2/post-is-counted", "metrics.8/json-is-counted"])
        // Every other one.
        || broken("metrics.2/every-call-is-counted") && state.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
    if !is_lost {
        state.metrics.count(method, failed, began.elapsed().as_secs_f64());
    }
}

fn failure(state: &State, message: &str, trace: &str) -> Reply {
    state.failures.fetch_add(1, Ordering::SeqCst);
    let is_odd = message.contains("5a17");
    let after = if is_odd {
        broken("errors.2/serves-after-odd-failure")
    } else {
        broken("errors.2/serves-after-failure")
    };
    let many = state.failures.load(Ordering::SeqCst) >= 50 && broken("errors.2/serves-after-many-failures");
    if after || many {
        crate::leave(1);
    }
    let is_hidden =
        if is_odd { broken("errors.5/odd-message-is-logged") } else { broken("errors.5/message-is-logged") };
    if !is_hidden {
        let id = if broken("trace.6/failure-is-logged-with-its-ids") { "-" } else { trace };
        log::complain(&format!("ERROR the function failed: {message} trace_id={id}"));
    }
    let shows = if is_odd {
        broken("errors.4/odd-message-is-not-shown")
    } else {
        broken("errors.4/message-is-not-shown")
    };
    let detail = state.config.error_detail && !broken("errors.7/detail-is-shown-on-demand");
    let status = match is_odd {
        false if broken("errors.1/failure-is-an-error") => 200,
        false if broken("errors.3/exception-is-500") => 502,
        true if broken("errors.3/odd-failure-is-500") => 502,
        _ => 500,
    };
    let body = match () {
        () if shows || detail => message,
        () if broken("errors.4/body-is-plain") => "<h1>Oops</h1>",
        () => "Internal Server Error",
    };
    Reply::new(status, body)
}
