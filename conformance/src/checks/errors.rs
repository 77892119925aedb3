//! What becomes of functions that fail.

use super::tools::{begin, unique};
use crate::check::{Check, must, should};
use crate::problem::{Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    must("errors.1/failure-is-an-error", "An exception is answered with a status from 500 on.", |t| {
        let exchange = t.get("/?how=raise")?;
        let status = exchange.reply.status;
        exchange.expect((500..600).contains(&status), "a status from 500 on", format!("status {status}"))
    })
    .on("fail"),
    must("errors.2/serves-after-failure", "The next call after an exception is answered.", |t| {
        goes_on_after(t, "raise")
    })
    .on("fail"),
    must(
        "errors.2/serves-after-odd-failure",
        "So is the next call after the language's other way to fail.",
        |t| goes_on_after(t, "odd"),
    )
    .on("fail"),
    must("errors.2/serves-after-many-failures", "Fifty failures at once end nothing.", |t| {
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| t.get("/?how=raise").map(drop));
            }
        });
        t.get("/")?.ok()?.body("fine").map(drop)
    })
    .on("fail"),
    should("errors.3/exception-is-500", "An exception is answered 500.", |t| {
        t.get("/?how=raise")?.status(500).map(drop)
    })
    .on("fail"),
    should("errors.3/odd-failure-is-500", "The language's other way to fail is answered 500.", |t| {
        t.get("/?how=odd")?.status(500).map(drop)
    })
    .on("fail"),
    should("errors.4/message-is-not-shown", "The client does not see the exception's message.", |t| {
        hides(t, "raise")
    })
    .on("fail"),
    should("errors.4/odd-message-is-not-shown", "Nor that of the other way to fail.", |t| hides(t, "odd"))
        .on("fail"),
    should("errors.4/body-is-plain", "The body is Internal Server Error.", |t| {
        let exchange = t.get("/?how=raise")?;
        exchange.expect(
            exchange.text().trim() == "Internal Server Error",
            "Internal Server Error",
            exchange.text(),
        )
    })
    .on("fail"),
    should("errors.5/message-is-logged", "The exception's message is in the log.", |t| {
        t.get("/?how=raise")?;
        t.log_until("the log has the message, secret-3f9c", |log| log.contains("secret-3f9c")).map(drop)
    })
    .on("fail")
    .logs()
    .alone(),
    should("errors.5/odd-message-is-logged", "So is that of the other way to fail.", |t| {
        t.get("/?how=odd")?;
        t.log_until("the log has the message, secret-5a17", |log| log.contains("secret-5a17")).map(drop)
    })
    .on("fail")
    .logs()
    .alone(),
    should("errors.6/exit-is-500", "A function that ends its process is answered 500.", |t| {
        t.get("/?how=exit")?.status(500).map(drop)
    })
    .on("fail")
    .env(PROCESS)
    .alone(),
    should("errors.6/serves-after-exit", "The server goes on after a function has ended its process.", |t| {
        // Whether this one is answered is another check's question.
        let _ = t.get("/?how=exit");
        t.get("/")?.ok()?.body("fine").map(drop)
    })
    .on("fail")
    .env(PROCESS)
    .alone(),
    should(
        "errors.7/detail-is-shown-on-demand",
        "With FUNC_ERROR_DETAIL=on the client sees the message.",
        |t| {
            let exchange = t.get("/?how=raise")?;
            exchange.expect(
                exchange.text().contains("secret-3f9c"),
                "the exception's message, secret-3f9c",
                exchange.text(),
            )
        },
    )
    .on("fail")
    .env(&[("FUNC_ERROR_DETAIL", "on")]),
    should("errors.8/failure-harms-no-neighbour", "A call that runs while others fail is answered.", |t| {
        let mut patient = begin(t, "/?how=wait&ms=1000", &unique("patient"))?;
        for _ in 0..10 {
            t.get("/?how=raise")?;
        }
        patient.answer("GET")?.ok()?.body("fine").map(drop)
    })
    .on("fail")
    .logs(),
];

/// Where a host can keep functions apart from itself, this asks for it.
const PROCESS: &[(&str, &str)] = &[("FUNC_ISOLATION", "process")];

fn goes_on_after(trial: &Trial<'_>, how: &str) -> Seen {
    // Whether this one is answered, and how, is another check's question.
    let _ = trial.get(&format!("/?how={how}"));
    trial.get("/")?.ok()?.body("fine").map(drop)
}

fn hides(trial: &Trial<'_>, how: &str) -> Seen {
    let exchange = trial.get(&format!("/?how={how}"))?;
    let everything = format!("{:?}{}", exchange.reply.headers, exchange.text());
    expect(!everything.contains("secret-"), "nothing of the message, which begins with secret-", everything)
}
