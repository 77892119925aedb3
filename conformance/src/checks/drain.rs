//! How the server ends.

use std::time::{Duration, Instant};

use super::tools::{begin, unique};
use crate::check::{Check, should};
use crate::http::{Connection, Request};
use crate::problem::{Seen, expect};
use crate::target::Signal;
use crate::trial::{PATIENCE, Trial, wait};

pub(super) const CHECKS: &[Check] = &[
    should("drain.1/sigterm-ends-with-0", "SIGTERM ends the server with status 0.", |t| {
        ends(t, Signal::Terminate, 0)
    })
    .env(AT_ONCE)
    .logs()
    .alone(),
    should("drain.1/sigint-ends-with-0", "SIGINT ends the server with status 0.", |t| {
        ends(t, Signal::Interrupt, 0)
    })
    .env(AT_ONCE)
    .logs()
    .alone(),
    should("drain.2/running-call-is-answered", "A call that runs when SIGTERM comes is answered.", |t| {
        let mut running = begin(t, "/?do=sleep&ms=3000", &unique("running"))?;
        t.signal(Signal::Terminate)?;
        running.answer("GET")?.ok()?.body("done").map(drop)
    })
    .on("work")
    .env(PATIENT)
    .logs()
    .alone(),
    should("drain.2/end-waits-for-the-call", "The server ends with status 0 after that call.", |t| {
        let mut running = begin(t, "/?do=sleep&ms=3000", &unique("running"))?;
        t.signal(Signal::Terminate)?;
        running.answer("GET")?.ok()?;
        status(t.exit_within(PATIENCE)?, 0)
    })
    .on("work")
    .env(PATIENT)
    .logs()
    .alone(),
    should("drain.3/not-ready-at-once", "/readyz fails while DRAIN_DELAY lasts.", |t| {
        t.signal(Signal::Terminate)?;
        let refused = wait(LOOK, || (t.get("/readyz").ok()?.reply.status == 503).then_some(()));
        expect(refused.is_some(), "/readyz says 503 while connections are still accepted", "it did not")
    })
    .env(LINGER)
    .logs()
    .alone(),
    should("drain.3/still-accepts", "New calls are answered while DRAIN_DELAY lasts.", |t| {
        t.signal(Signal::Terminate)?;
        // The signal has been heard when readiness fails.
        let heard = wait(LOOK, || (t.get("/readyz").ok()?.reply.status == 503).then_some(()));
        expect(heard.is_some(), "/readyz says 503 while connections are still accepted", "it did not")?;
        t.get("/")?.ok().map(drop)
    })
    .env(LINGER)
    .logs()
    .alone(),
    should("drain.3/still-alive", "/healthz is answered 200 while DRAIN_DELAY lasts.", |t| {
        t.signal(Signal::Terminate)?;
        let heard = wait(LOOK, || (t.get("/readyz").ok()?.reply.status == 503).then_some(()));
        expect(heard.is_some(), "/readyz says 503 while connections are still accepted", "it did not")?;
        t.get("/healthz")?.ok().map(drop)
    })
    .env(LINGER)
    .logs()
    .alone(),
    should(
        "drain.4/late-call-does-not-hold-it-up",
        "A call that goes on beyond SHUTDOWN_TIMEOUT=1 does not keep the server.",
        |t| {
            let _running = begin(t, "/?do=spin&ms=120000", &unique("endless"))?;
            t.signal(Signal::Terminate)?;
            t.exit_within(PATIENCE).map(drop)
        },
    )
    .on("work")
    .env(SHORT)
    .logs()
    .alone(),
    should("drain.4/lost-calls-show", "The exit status is 75 then.", |t| {
        let _running = begin(t, "/?do=spin&ms=120000", &unique("endless"))?;
        t.signal(Signal::Terminate)?;
        status(t.exit_within(PATIENCE)?, 75)
    })
    .on("work")
    .env(SHORT)
    .logs()
    .alone(),
    should(
        "drain.5/second-signal-ends-at-once",
        "A second SIGTERM ends the server while a call runs, with status 143.",
        |t| {
            let _running = begin(t, "/?do=sleep&ms=120000", &unique("endless"))?;
            t.signal(Signal::Terminate)?;
            let heard = wait(LOOK, || (t.get("/readyz").ok()?.reply.status == 503).then_some(()));
            expect(heard.is_some(), "/readyz says 503 after the first signal", "it did not")?;
            t.signal(Signal::Terminate)?;
            status(t.exit_within(PATIENCE)?, 143)
        },
    )
    .on("work")
    .env(&[("DRAIN_DELAY", "300"), ("SHUTDOWN_TIMEOUT", "300"), ("FUNC_TIMEOUT", "600")])
    .logs()
    .alone(),
    should(
        "drain.6/idle-connections-are-closed",
        "Connections without a request do not keep the server.",
        |t| {
            let mut idle = t.connect()?;
            idle.exchange(&Request::get("/").keep())?.ok()?;
            let began = Instant::now();
            t.signal(Signal::Terminate)?;
            status(t.exit_within(PATIENCE)?, 0)?;
            expect(
                idle.is_closed(Duration::from_secs(5)),
                "the connection is closed",
                format!("it is open {:.1?} later", began.elapsed()),
            )
        },
    )
    .env(&[("DRAIN_DELAY", "0"), ("SHUTDOWN_TIMEOUT", "600"), ("FUNC_IDLE_TIMEOUT", "600")])
    .logs()
    .alone(),
    should("drain.7/port-is-free-afterwards", "Nobody is connected any more after the end.", |t| {
        let address = t.address()?;
        t.signal(Signal::Terminate)?;
        t.exit_within(PATIENCE)?;
        expect(Connection::open(address).is_err(), "connections are refused", "one was accepted")
    })
    .env(AT_ONCE)
    .logs()
    .alone(),
];

const AT_ONCE: &[(&str, &str)] = &[("DRAIN_DELAY", "0")];
const PATIENT: &[(&str, &str)] = &[("DRAIN_DELAY", "0"), ("SHUTDOWN_TIMEOUT", "60")];
const LINGER: &[(&str, &str)] = &[("DRAIN_DELAY", "300")];
const SHORT: &[(&str, &str)] = &[("DRAIN_DELAY", "0"), ("SHUTDOWN_TIMEOUT", "1")];
/// How long the effect of a signal is looked for.
const LOOK: Duration = Duration::from_secs(20);

fn status(found: i32, expected: i32) -> Seen {
    expect(found == expected, format!("exit status {expected}"), format!("exit status {found}"))
}

fn ends(trial: &Trial<'_>, signal: Signal, expected: i32) -> Seen {
    trial.signal(signal)?;
    status(trial.exit_within(PATIENCE)?, expected)
}
