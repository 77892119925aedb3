//! How long a call may take.

use std::time::{Duration, Instant};

use super::tools::{begin, timed, unique};
use crate::check::{Check, must, should};
use crate::http::Request;
use crate::problem::{Problem, Seen, expect};
use crate::trial::{PATIENCE, Trial, wait};

pub(super) const CHECKS: &[Check] = &[
    should(
        "deadline.1/sleeping-is-408",
        "With FUNC_TIMEOUT=1 a function that sleeps is answered 408.",
        |t| late(t, "/?do=sleep&ms=120000"),
    )
    .on("work")
    .env(ONE),
    should(
        "deadline.1/spinning-is-408",
        "With FUNC_TIMEOUT=1 a function that uses the processor is answered 408.",
        |t| late(t, "/?do=spin&ms=120000"),
    )
    .on("work")
    .env(ONE)
    .alone(),
    should(
        "deadline.1/fraction-is-408",
        "With FUNC_TIMEOUT=0.5 a function that sleeps is answered 408.",
        |t| late(t, "/?do=sleep&ms=120000"),
    )
    .on("work")
    .env(&[("FUNC_TIMEOUT", "0.5")]),
    should(
        "deadline.2/not-before-its-time",
        "With FUNC_TIMEOUT=20 a function that takes 1.5 s is answered.",
        |t| t.get("/?do=sleep&ms=1500")?.ok()?.body("done").map(drop),
    )
    .on("work")
    .env(&[("FUNC_TIMEOUT", "20")]),
    should("deadline.2/answer-waits-for-the-deadline", "408 comes no sooner than FUNC_TIMEOUT.", |t| {
        let (exchange, took) = timed(|| t.get("/?do=sleep&ms=120000"));
        let exchange = exchange?;
        exchange.status(408)?;
        exchange.expect(took >= Duration::from_secs(1), "408 after 1 s", format!("408 after {took:.2?}"))
    })
    .on("work")
    .env(ONE),
    should("deadline.3/serves-after-408", "The server goes on after a function that slept too long.", |t| {
        goes_on(t, "/?do=sleep&ms=120000")
    })
    .on("work")
    .env(ONE)
    .alone(),
    should(
        "deadline.3/serves-after-spinning",
        "The server goes on after a function that did not stop.",
        |t| goes_on(t, "/?do=spin&ms=120000"),
    )
    .on("work")
    .env(ONE)
    .alone(),
    should("deadline.4/neighbours-are-answered", "A call beside one that spins is answered.", |t| {
        let mut spinning = begin(t, "/?do=spin&ms=120000", &unique("spin"))?;
        t.get("/")?.ok()?.body("done")?;
        spinning.answer("GET")?.status(408).map(drop)
    })
    .on("work")
    .env(&[("FUNC_TIMEOUT", "5")])
    .logs()
    .alone(),
    should("deadline.5/counts-as-a-failure", "A 408 is counted as a call and as a failure.", |t| {
        let before = t.metrics()?;
        t.get("/?do=sleep&ms=120000")?.status(408)?;
        t.metrics_until("one call and one failure more", |now| {
            now.calls("GET") > before.calls("GET") && now.failures("GET") > before.failures("GET")
        })
        .map(drop)
    })
    .on("work")
    .env(ONE),
    should(
        "deadline.6/slow-body-too",
        "With FUNC_TIMEOUT=1 a client whose body does not come is answered 408.",
        |t| {
            let mut connection = t.connect()?;
            connection.send_head(&Request::post("/", "text/plain", "0123456789"));
            connection.answer("POST")?.status(408).map(drop)
        },
    )
    .on("work")
    .env(ONE),
    should("deadline.7/is-logged", "The access line of a call that ran out of time says 408.", |t| {
        let path = format!("/{}", unique("late"));
        t.get(&format!("{path}?do=sleep&ms=120000"))?.status(408)?;
        t.line_until("a line with the path and 408", |line| line.contains(&path) && line.contains("408"))
            .map(drop)
    })
    .on("work")
    .env(ONE)
    .logs(),
    must(
        "deadline.8/spinning-is-stopped",
        "With FUNC_CONCURRENCY=1 the place of a function that spins is free again.",
        |t| {
            t.get("/?do=spin&ms=120000")?.status(408)?;
            let end = Instant::now() + PATIENCE;
            let mut last = t.get("/")?;
            while last.reply.status != 200 && Instant::now() < end {
                last = t.get("/")?;
            }
            last.ok()?.body("done").map(drop)
        },
    )
    .on("work")
    .env(&[("FUNC_TIMEOUT", "1"), ("FUNC_CONCURRENCY", "1")])
    .needs("stop-running-handler")
    .alone(),
    must(
        "deadline.8/sleeping-is-stopped",
        "A function that sleeps is stopped, and does not come to its end.",
        |t| {
            // On a busy machine a call may run out of time before its function has begun.
            let attempt = || {
                let name = unique("sleep");
                let request = Request::get("/?do=sleep&ms=5000").header("event-id", &name);
                let is_late = t.send(&request).ok()?.reply.status == 408;
                let has_begun = t.instance().ok()?.output().all().contains(&format!("begun {name}"));
                (is_late && has_begun).then_some(name)
            };
            let name = wait(PATIENCE, attempt)
                .ok_or_else(|| Problem::failed("a call that begins, and is answered 408", "there is none"))?;
            // Another one's end, which comes later, shows that this one's would have come.
            let later = unique("later");
            let end = Instant::now() + Duration::from_secs(6);
            while Instant::now() < end {
                t.send(&Request::get("/?do=sleep&ms=300").header("event-id", &later))?;
            }
            let log = t.log_until("the end of later calls is in the log", |log| {
                log.contains(&format!("ended {later}"))
            })?;
            expect(!log.contains(&format!("ended {name}")), "the function is stopped", "it came to its end")
        },
    )
    .on("work")
    .env(ONE)
    .needs("stop-running-handler")
    .logs(),
    must(
        "deadline.9/stream-is-cut-off",
        "A reply that still goes on at the deadline is cut off, and not ended.",
        |t| {
            let mut connection = t.connect()?;
            let exchange = connection.exchange(&Request::get("/?pieces=100000&ms=50"))?;
            // A reply that simply goes on has no end either.
            let goes_on = !connection.is_closed(Duration::from_secs(2));
            let is_cut = !exchange.reply.complete
                && !goes_on
                && exchange.reply.body.starts_with(
                    b"piece 1
",
                );
            // On a busy machine nothing may have begun by then, and no client takes a 408 for the whole.
            exchange.expect(
                is_cut || exchange.reply.status == 408,
                "a reply that begins, and breaks off",
                format!(
                    "{} bytes; whole: {}; goes on: {goes_on}",
                    exchange.reply.body.len(),
                    exchange.reply.complete
                ),
            )
        },
    )
    .on("stream")
    .env(THREE)
    .needs("streaming-reply"),
];

const ONE: &[(&str, &str)] = &[("FUNC_TIMEOUT", "1")];
/// The reply must have begun by then, also on a busy machine.
const THREE: &[(&str, &str)] = &[("FUNC_TIMEOUT", "3")];

/// The function would take two minutes.
fn late(trial: &Trial<'_>, target: &str) -> Seen {
    trial.get(target)?.status(408).map(drop)
}

/// A server that ends itself after a 408 may take its time for it, so it is asked for three seconds. Some of these calls may
/// be late, for another part of the server that is started anew, say; but each is answered, and in the end in time.
fn goes_on(trial: &Trial<'_>, target: &str) -> Seen {
    trial.get(target)?.status(408)?;
    let (enough, end) = (Instant::now() + Duration::from_secs(3), Instant::now() + PATIENCE);
    loop {
        let exchange = trial.get("/")?;
        let is_served = exchange.reply.status == 200;
        if is_served && Instant::now() > enough || Instant::now() > end {
            return exchange.ok()?.body("done").map(drop);
        }
    }
}
