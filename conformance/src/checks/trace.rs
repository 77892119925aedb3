//! How a call can be followed.

use super::tools::{field, told, unique};
use crate::check::{Check, should};
use crate::http::Request;
use crate::problem::{Problem, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    should("trace.1/request-id-is-echoed", "The header X-Request-Id comes back.", |t| {
        let id = unique("my-request");
        t.send(&Request::get("/").header("X-Request-Id", &id))?.header("x-request-id", &id).map(drop)
    }),
    should("trace.1/request-id-is-made", "Without one, the response has a new one each time.", |t| {
        let (one, two) = (id(t, &Request::get("/"))?, id(t, &Request::get("/"))?);
        expect(one.len() >= 8 && one != two, "two different ids", format!("{one:?} and {two:?}"))
    }),
    should("trace.1/failures-have-one", "A failure's response has a request id as well.", |t| {
        let found = id(t, &Request::get("/?how=raise"))?;
        expect(found.len() >= 8, "X-Request-Id", format!("{found:?}"))
    })
    .on("fail"),
    should("trace.2/odd-request-id-is-not-echoed", "An id of 5000 signs does not come back.", |t| {
        let long = "x".repeat(5000);
        let found = id(t, &Request::get("/").header("X-Request-Id", &long))?;
        expect(found.len() < 1000, "another id, or a part of it", "all 5000 signs")
    }),
    should(
        "trace.3/trace-id-is-taken-over",
        "The function gets a traceparent with the client's trace id.",
        |t| {
            let parent = told_parent(t, &Request::get("/").header("traceparent", PARENT))?;
            expect(parent.contains(TRACE), format!("a traceparent with {TRACE}"), parent)
        },
    ),
    should("trace.3/span-is-the-hosts", "Its span is the server's, and not the client's.", |t| {
        let parent = told_parent(t, &Request::get("/").header("traceparent", PARENT))?;
        expect(
            is_parent(&parent) && !parent.contains("00f067aa0ba902b7"),
            "a traceparent with another span",
            parent,
        )
    }),
    should("trace.3/trace-is-made", "Without one the function gets a traceparent all the same.", |t| {
        let parent = told_parent(t, &Request::get("/"))?;
        expect(is_parent(&parent), "a traceparent of version 00", parent)
    }),
    should("trace.4/broken-trace-is-replaced", "A traceparent that is none is replaced by a new one.", |t| {
        let parent = told_parent(t, &Request::get("/").header("traceparent", "00-zz-not-a-trace"))?;
        expect(is_parent(&parent), "a traceparent of version 00", parent)
    }),
    should(
        "trace.4/zero-trace-is-replaced",
        "A trace id of zeros, which is not allowed, is replaced.",
        |t| {
            let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
            let parent = told_parent(t, &Request::get("/").header("traceparent", &zeros))?;
            expect(
                is_parent(&parent) && !parent.contains(&"0".repeat(32)),
                "a traceparent with another trace id",
                parent,
            )
        },
    ),
    should("trace.5/tracestate-is-passed-on", "The header tracestate reaches the function.", |t| {
        let request = Request::get("/").header("traceparent", PARENT).header("tracestate", "vendor=abc");
        field(&told(t, &request)?, "/request/headers/tracestate", &"vendor=abc".into())
    }),
    should(
        "trace.6/ids-are-in-the-access-line",
        "A request's line has its request id and its trace id.",
        |t| {
            let id = unique("logged");
            t.send(&Request::get("/").header("X-Request-Id", &id).header("traceparent", PARENT))?.ok()?;
            let line = t.line_until("a line with the request id", |line| line.contains(&id))?;
            expect(line.contains(TRACE), format!("a line with {TRACE} as well"), line)
        },
    )
    .logs(),
    should(
        "trace.6/failure-is-logged-with-its-ids",
        "The line that says why a call failed has its trace id.",
        |t| {
            let trace = format!("{:032x}", fastrand::u128(1..));
            let parent = format!("00-{trace}-00f067aa0ba902b7-01");
            t.send(&Request::get("/?how=raise").header("traceparent", &parent))?;
            let has =
                |log: &str| log.lines().any(|line| line.contains(&trace) && line.contains("secret-3f9c"));
            t.log_until("a line with the message and the trace id", has).map(drop)
        },
    )
    .on("fail")
    .logs(),
];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn id(trial: &Trial<'_>, request: &Request) -> Result<String, Problem> {
    Ok(trial.send(request)?.reply.header("x-request-id").unwrap_or_default().to_owned())
}

fn told_parent(trial: &Trial<'_>, request: &Request) -> Result<String, Problem> {
    let answer = told(trial, request)?;
    Ok(answer
        .1
        .pointer("/request/headers/traceparent")
        .and_then(|value| value.as_str())
        .unwrap_or("no traceparent")
        .to_owned())
}

fn is_parent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|sign| sign.is_ascii_hexdigit());
    matches!(parts[..], ["00", trace, span, flags] if hex(trace, 32) && hex(span, 16) && hex(flags, 2))
}
