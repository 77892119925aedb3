//! Calls at the same time.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::tools::{begin, unique};
use crate::check::{Check, must, should};
use crate::http::Request;
use crate::problem::{Problem, expect};
use crate::trial::{Trial, wait};

pub(super) const CHECKS: &[Check] = &[
    must(
        "concurrency.1/second-overtakes-first",
        "A call that comes later and takes less is answered first.",
        |t| {
            let mut first = t.connect()?;
            first.send(&Request::get("/?do=sleep&ms=6000"));
            // On a busy machine one of them may be heard before the first call is.
            for _ in 0..3 {
                t.get("/")?.ok()?.body("done")?;
            }
            expect(
                !first.is_answered(),
                "the second call is answered first",
                "the first one, which takes 6 s, was",
            )?;
            first.answer("GET")?.ok().map(drop)
        },
    )
    .on("work"),
    must("concurrency.1/eight-at-once", "Eight calls that sleep 2 s take less than half of 16 s.", |t| {
        let (outcome, took) = super::tools::timed(|| {
            std::thread::scope(|scope| {
                let calls: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| t.get("/?do=sleep&ms=2000")?.ok().map(drop))).collect();
                calls.into_iter().try_for_each(|call| {
                    call.join().unwrap_or_else(|_| Err(Problem::broken("a call's thread failed")))
                })
            })
        });
        outcome?;
        expect(took < Duration::from_secs(8), "all of them in less than 8 s", format!("they took {took:.1?}"))
    })
    .on("work"),
    must(
        "concurrency.2/many-wait-at-once",
        "Of 150 calls that wait for 6 s, at least 100 wait at the same time.",
        |t| {
            // On a busy machine it takes longer than that to send so many.
            let together = waiting_together(t, "/?ms=6000")?;
            let together = if together < 100 { waiting_together(t, "/?ms=20000")? } else { together };
            expect(together >= 100, "at least 100 at the same time", format!("{together} at the same time"))
        },
    )
    .on("async")
    .needs("async-handlers"),
    should(
        "concurrency.3/full-is-503",
        "With FUNC_CONCURRENCY=1 and FUNC_QUEUE=0 a second call is answered 503.",
        |t| {
            let _first = begin(t, "/?do=sleep&ms=60000", &unique("first"))?;
            t.get("/")?.status(503).map(drop)
        },
    )
    .on("work")
    .env(ALONE)
    .logs()
    .alone(),
    should("concurrency.3/retry-after", "That 503 says when to come again.", |t| {
        let _first = begin(t, "/?do=sleep&ms=60000", &unique("first"))?;
        let exchange = t.get("/")?;
        let found = exchange.reply.header("retry-after").unwrap_or("nothing").to_owned();
        exchange.expect(found.parse::<u32>().is_ok(), "Retry-After with a number of seconds", found.clone())
    })
    .on("work")
    .env(ALONE)
    .logs()
    .alone(),
    should(
        "concurrency.4/queue-holds-calls",
        "With FUNC_QUEUE=1 a second call waits, and is answered.",
        |t| {
            let mut first = begin(t, "/?do=sleep&ms=2000", &unique("first"))?;
            t.get("/")?.ok()?.body("done")?;
            first.answer("GET")?.ok().map(drop)
        },
    )
    .on("work")
    .env(&[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "1"), ("FUNC_QUEUE_WAIT", "60")])
    .logs()
    .alone(),
    should(
        "concurrency.4/queue-has-an-end",
        "With FUNC_QUEUE_WAIT=0.5 a call that waits longer is answered 503.",
        |t| {
            let _first = begin(t, "/?do=sleep&ms=60000", &unique("first"))?;
            t.get("/")?.status(503).map(drop)
        },
    )
    .on("work")
    .env(&[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "5"), ("FUNC_QUEUE_WAIT", "0.5")])
    .logs()
    .alone(),
    should(
        "concurrency.5/one-at-a-time",
        "With FUNC_CONCURRENCY=1 the second call begins when the first has ended.",
        |t| {
            // The log does not tell: lines of two processes may overtake each other.
            let (outcome, took) = super::tools::timed(|| {
                let mut first = begin(t, "/?do=sleep&ms=1500", &unique("one"))?;
                let mut second = t.connect()?;
                second.send(&Request::get("/?do=sleep&ms=1500"));
                first.answer("GET")?.ok()?;
                second.answer("GET")?.ok().map(drop)
            });
            outcome?;
            expect(
                took > Duration::from_millis(2900),
                "two calls that sleep 1.5 s each take 3 s together",
                format!("they took {took:.1?}"),
            )
        },
    )
    .on("work")
    .env(&[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "5"), ("FUNC_QUEUE_WAIT", "60")])
    .logs()
    .alone(),
    should(
        "concurrency.6/client-that-leaves-frees-its-place",
        "The place of a call whose client has left is free again.",
        |t| {
            drop(begin(t, "/?do=sleep&ms=120000", &unique("left"))?);
            let answered = wait(Duration::from_secs(30), || {
                let exchange = t.get("/").ok()?;
                (exchange.reply.status == 200).then_some(())
            });
            expect(
                answered.is_some(),
                "the next call is answered before the first one would have ended",
                "503 for 30 s",
            )
        },
    )
    .on("work")
    .env(ALONE)
    .logs()
    .alone(),
    should(
        "concurrency.7/host-paths-need-no-place",
        "/metrics is answered when no further call may run.",
        |t| {
            let _first = begin(t, "/?do=sleep&ms=60000", &unique("first"))?;
            t.get("/metrics")?.ok().map(drop)
        },
    )
    .on("work")
    .env(ALONE)
    .logs()
    .alone(),
];

const ALONE: &[(&str, &str)] = &[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "0")];

/// How many of 150 calls of `target` wait at the same time, as they say themselves.
fn waiting_together(t: &Trial<'_>, target: &str) -> Result<u64, Problem> {
    let answers = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..150).map(|_| scope.spawn(|| t.get(target)?.json())).collect();
        calls
            .into_iter()
            .map(|call| call.join().unwrap_or_else(|_| Err(Problem::broken("a call's thread failed"))))
            .collect::<Result<Vec<Value>, _>>()
    })?;
    // Each process, or whatever keeps its own globals, has counted its own calls.
    let mut most: HashMap<String, u64> = HashMap::new();
    for answer in &answers {
        let (Some(state), Some(inside)) = (answer["state"].as_str(), answer["inside"].as_u64()) else {
            return Err(Problem::failed("{\"state\": text, \"inside\": number}", answer.to_string()));
        };
        let known = most.entry(state.to_owned()).or_default();
        *known = inside.max(*known);
    }
    Ok(most.values().sum())
}
