//! Whether the server is alive, and whether it can take calls.

use std::time::Duration;

use super::tools::{begin, unique};
use crate::check::{Check, must, should};
use crate::http::{Connection, Request};
use crate::problem::Problem;
use crate::trial::{Attempt, PATIENCE, wait};

pub(super) const CHECKS: &[Check] = &[
    must("health.1/get-is-200", "GET /healthz is answered 200.", |t| t.get("/healthz")?.ok().map(drop)),
    should("health.2/body-is-ok", "The body of GET /healthz is OK.", |t| {
        let exchange = t.get("/healthz")?;
        exchange.expect(exchange.text().trim() == "OK", "the body OK", exchange.text())
    }),
    should("health.2/head-has-no-body", "HEAD /healthz is answered 200 without a body.", |t| {
        let exchange = t.send(&Request::new("HEAD", "/healthz"))?;
        exchange.status(200).map(drop)
    }),
    should("health.2/query-does-not-matter", "GET /healthz?a=b is answered by the server.", |t| {
        let exchange = t.get("/healthz?a=b")?;
        exchange.ok()?;
        exchange.expect(exchange.text().trim() == "OK", "the body OK", exchange.text())
    }),
    should(
        "health.3/alive-while-the-function-spins",
        "/healthz is answered while a function uses the processor.",
        |t| {
            let _spinning = begin(t, "/?do=spin&ms=60000", &unique("spin"))?;
            t.get("/healthz")?.ok().map(drop)
        },
    )
    .on("work")
    .logs()
    .alone(),
    should(
        "health.3/alive-while-all-places-are-taken",
        "/healthz is answered when no further call may run.",
        |t| {
            let _sleeping = begin(t, "/?do=sleep&ms=60000", &unique("sleep"))?;
            t.get("/healthz")?.ok().map(drop)
        },
    )
    .on("work")
    .env(&[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "0")])
    .logs()
    .alone(),
    should(
        "health.4/ready-when-loaded",
        "GET /readyz is answered 200 by the server when the function is loaded.",
        |t| {
            let exchange = t.get("/readyz")?;
            exchange.ok()?;
            exchange.expect(
                !exchange.text().contains("\"event\""),
                "an answer of the server",
                "the function was called",
            )
        },
    ),
    should("health.4/head-too", "HEAD /readyz is answered 200 without a body.", |t| {
        t.send(&Request::new("HEAD", "/readyz"))?.status(200).map(drop)
    }),
    should(
        "health.5/not-ready-while-loading",
        "/readyz says 503, or nothing listens, until the function is loaded.",
        |t| {
            let Attempt::Started(instance) = t.start(&[])? else {
                return Err(Problem::failed("a server that starts", "the build step refuses the function"));
            };
            // Readiness is asked for before the function says that it has been loaded, and never after.
            let early = wait(PATIENCE, || {
                let status = Connection::open(instance.address())
                    .and_then(|mut connection| connection.exchange(&Request::get("/readyz")))
                    .map_or(0, |exchange| exchange.reply.status);
                let is_loaded = || instance.output().all().contains("loading is over").then_some(());
                if status == 200 {
                    // What it has said may come a moment later; loading takes four seconds.
                    let said = wait(Duration::from_secs(1), is_loaded);
                    return Some(said.is_none().then_some(status));
                }
                is_loaded().map(|()| None)
            });
            match early {
                Some(None) => Ok(()),
                Some(Some(status)) => {
                    Err(Problem::failed("503 until the function is loaded", format!("{status} before that")))
                }
                None => Err(Problem::failed("the function says that it is loaded", instance.output().tail())),
            }
        },
    )
    .on("slow-load")
    .logs()
    .starts(),
    should("health.6/post-is-the-functions", "POST /healthz reaches the function.", |t| {
        is_the_functions(t, "POST", "/healthz")
    }),
    should("health.6/put-readyz-is-the-functions", "PUT /readyz reaches the function.", |t| {
        is_the_functions(t, "PUT", "/readyz")
    }),
    should("health.6/longer-path-is-the-functions", "GET /healthz/more reaches the function.", |t| {
        is_the_functions(t, "GET", "/healthz/more")
    }),
    should("health.6/similar-path-is-the-functions", "GET /healthzz reaches the function.", |t| {
        is_the_functions(t, "GET", "/healthzz")
    }),
    should(
        "health.7/stays-ready-after-failures",
        "/readyz is answered 200 after twenty failures of the function.",
        |t| {
            for _ in 0..20 {
                t.get("/?how=raise")?;
            }
            t.get("/readyz")?.status(200).map(drop)
        },
    )
    .on("fail"),
];

fn is_the_functions(trial: &crate::trial::Trial<'_>, method: &str, path: &str) -> crate::problem::Seen {
    let answer = super::tools::told(trial, &Request::new(method, path))?;
    super::tools::field(&answer, "/request/path", &path.into())
}
