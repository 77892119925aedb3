//! What a function is told: event and context.

use serde_json::{Value, json};

use super::tools::{TEXT, data_is, field, told};
use crate::check::{Check, must, should};
use crate::http::Request;
use crate::problem::{Problem, Seen};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    must("event.1/id", "The header event-id is the event's id.", |t| from_header(t, "event-id", "a1b2-c3")),
    must("event.1/type", "The header event-type is the event's type.", |t| {
        from_header(t, "event-type", "order.placed")
    }),
    must("event.1/time", "The header event-time is the event's time.", |t| {
        from_header(t, "event-time", "2026-11-20T09:21:44Z")
    }),
    must("event.1/namespace", "The header event-namespace is the event's namespace.", |t| {
        from_header(t, "event-namespace", "shop.example")
    }),
    must("event.2/names-in-any-case", "The headers are found as Event-ID and EVENT-TYPE as well.", |t| {
        let answer = told(t, &Request::get("/").header("Event-ID", "x7").header("EVENT-TYPE", "t8"))?;
        field(&answer, "/event/id", &json!("x7"))?;
        field(&answer, "/event/type", &json!("t8"))
    }),
    should(
        "event.3/absent-is-nothing",
        "Without these headers the event has no id, type, time and namespace.",
        |t| {
            let answer = told(t, &Request::get("/"))?;
            field(&answer, "/event", &json!({"id": null, "type": null, "time": null, "namespace": null}))
        },
    ),
    must("event.4/function-name", "The context's function-name is the handler's.", |t| {
        field(&told(t, &Request::get("/"))?, "/context/function-name", &json!("Handle"))
    })
    .env(CONTEXT),
    must("event.4/timeout", "The context's timeout is FUNC_TIMEOUT.", |t| {
        field(&told(t, &Request::get("/"))?, "/context/timeout", &json!("97"))
    })
    .env(CONTEXT),
    must("event.4/runtime", "The context's runtime is FUNC_RUNTIME.", |t| {
        field(&told(t, &Request::get("/"))?, "/context/runtime", &json!("made-up1.2"))
    })
    .env(CONTEXT),
    must("event.4/memory-limit", "The context's memory-limit is FUNC_MEMORY_LIMIT.", |t| {
        field(&told(t, &Request::get("/"))?, "/context/memory-limit", &json!("1Gi"))
    })
    .env(CONTEXT),
    should("event.5/default-timeout", "Without FUNC_TIMEOUT the context's timeout is 180.", |t| {
        field(&told(t, &Request::get("/"))?, "/context/timeout", &json!("180"))
    }),
    should("event.6/method", "The request object has the method.", |t| {
        field(&told(t, &Request::new("DELETE", "/"))?, "/request/method", &json!("DELETE"))
    }),
    should("event.6/path", "The request object has the path.", |t| {
        field(&told(t, &Request::get("/any/path/at/all"))?, "/request/path", &json!("/any/path/at/all"))
    }),
    should("event.6/query", "The request object has the query as it came.", |t| {
        field(&told(t, &Request::get("/?a=1&b=%20x&a=2"))?, "/request/query", &json!("a=1&b=%20x&a=2"))
    }),
    should("event.6/headers", "The request object has header fields of any name.", |t| {
        field(
            &told(t, &Request::get("/").header("X-Own-Field", "of mine"))?,
            "/request/headers/x-own-field",
            &json!("of mine"),
        )
    }),
    should("event.6/repeated-headers", "Of a header field that is there twice no value is lost.", |t| {
        let answer = told(t, &Request::get("/").header("X-Twice", "one").header("X-Twice", "two"))?;
        let found = answer.1.pointer("/request/headers/x-twice").and_then(Value::as_str).unwrap_or_default();
        answer.0.expect(
            found.contains("one") && found.contains("two"),
            "the request object has both values of X-Twice",
            format!("x-twice = {found:?}"),
        )
    }),
    should("event.6/cookies", "The header Cookie arrives as it was sent.", |t| {
        field(
            &told(t, &Request::get("/").header("Cookie", "a=b; c=d"))?,
            "/request/headers/cookie",
            &json!("a=b; c=d"),
        )
    }),
    must("event.7/calls-do-not-mix", "Twenty calls at once each get their own id and data.", |t| {
        let outcomes: Vec<Seen> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..20)
                .map(|number| {
                    scope.spawn(move || {
                        let (id, body) = (format!("id-{number}"), format!("body of {number}").repeat(50));
                        let answer =
                            told(t, &Request::post("/", TEXT, body.as_str()).header("event-id", &id))?;
                        field(&answer, "/event/id", &json!(id))?;
                        data_is(&answer, body.as_bytes())
                    })
                })
                .collect();
            calls
                .into_iter()
                .map(|call| call.join().unwrap_or_else(|_| Err(Problem::broken("a call's thread failed"))))
                .collect()
        });
        outcomes.into_iter().collect()
    }),
];

/// What the controller of Kubeless sets.
const CONTEXT: &[(&str, &str)] =
    &[("FUNC_TIMEOUT", "97"), ("FUNC_RUNTIME", "made-up1.2"), ("FUNC_MEMORY_LIMIT", "1Gi")];

fn from_header(trial: &Trial<'_>, name: &str, value: &str) -> Seen {
    let answer = told(trial, &Request::get("/").header(name, value))?;
    field(&answer, &format!("/event/{}", name.trim_start_matches("event-")), &value.into())
}
