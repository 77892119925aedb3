//! Whether the function is loaded, and what is said when it cannot be.

use std::time::Duration;

use super::tools::{field, timed, told};
use crate::check::{Check, must, should};
use crate::http::{Connection, Request};
use crate::problem::{Problem, Seen, expect};
use crate::trial::{Attempt, Ended, PATIENCE, Trial, wait};

pub(super) const CHECKS: &[Check] = &[
    must(
        "load.1/function-is-called",
        "A request is answered by the function that MOD_NAME and FUNC_HANDLER name.",
        |t| {
            let (exchange, value) = told(t, &Request::get("/"))?;
            exchange.expect(value["event"].is_object(), "what the function returns", format!("{value}"))
        },
    ),
    should("load.2/port-is-listened-on", "The server listens on the port of FUNC_PORT.", |t| {
        let Attempt::Started(instance) = t.start(&[])? else {
            return Err(Problem::failed("a server that starts", "the build step refuses the function"));
        };
        let answer = || Connection::open(instance.address()).ok()?.exchange(&Request::get("/healthz")).ok();
        let answered = wait(PATIENCE / 2, || answer().filter(|exchange| exchange.reply.status == 200));
        expect(answered.is_some(), "an answer on the port of FUNC_PORT", instance.output().tail())
    })
    .starts(),
    should(
        "load.3/siblings-are-found",
        "A module beside the function's own is found when it is loaded.",
        |t| t.get("/")?.ok()?.body("the sibling says hello").map(drop),
    )
    .on("siblings"),
    should(
        "load.4/empty-dependency-file-does-no-harm",
        "An empty file of dependencies lies beside the function.",
        |t| t.get("/")?.ok().map(drop),
    )
    .on("siblings"),
    must(
        "load.5/dependency-is-found",
        "The function imports a package that is installed under the mount.",
        |t| t.get("/")?.ok()?.body("the dependency says hello").map(drop),
    )
    .on("dependencies")
    .needs("dependencies"),
    should(
        "load.6/ends-when-the-function-does-not-parse",
        "A function with a mistake in its syntax ends the process.",
        |t| failed(t, &[]).map(drop),
    )
    .on("broken-syntax")
    .starts(),
    should(
        "load.6/ends-when-loading-fails",
        "A function that fails while it is loaded ends the process.",
        |t| failed(t, &[]).map(drop),
    )
    .on("broken-load")
    .starts(),
    should(
        "load.6/ends-without-the-handler",
        "A handler that the module does not have ends the process.",
        |t| failed(t, &[("FUNC_HANDLER", "NoSuchHandler")]).map(drop),
    )
    .starts(),
    should("load.7/parse-error-names-the-file", "The log names the file that does not parse.", |t| {
        says(&failed(t, &[])?, "function.")
    })
    .on("broken-syntax")
    .starts(),
    should(
        "load.7/load-error-is-told",
        "The log has the message of what failed while the function was loaded.",
        |t| says(&failed(t, &[])?, "no database today"),
    )
    .on("broken-load")
    .starts(),
    should("load.7/missing-handler-is-named", "The log names the handler that is not there.", |t| {
        says(&failed(t, &[("FUNC_HANDLER", "NoSuchHandler")])?, "NoSuchHandler")
    })
    .starts(),
    should(
        "load.8/reason-is-in-the-termination-log",
        "The reason of a failed start is in the termination log.",
        |t| {
            let ended = failed(t, &[])?;
            expect(
                ended.told.contains("no database today"),
                "the termination log has the reason, \"no database today\"",
                format!("it has {:?}", ended.told),
            )
        },
    )
    .on("broken-load")
    .starts(),
    should("load.9/bad-variable-ends-the-start", "FUNC_TIMEOUT=soon ends the process.", |t| {
        failed(t, &[("FUNC_TIMEOUT", "soon")]).map(drop)
    })
    .starts(),
    should("load.9/bad-variable-is-named", "The message names the variable and the value.", |t| {
        let ended = failed(t, &[("FUNC_TIMEOUT", "soon")])?;
        says(&ended, "FUNC_TIMEOUT")?;
        says(&ended, "soon")
    })
    .starts(),
    should("load.9/all-mistakes-at-once", "Two wrong variables are both named.", |t| {
        let ended = failed(t, &[("FUNC_TIMEOUT", "soon"), ("REQ_MB_LIMIT", "little")])?;
        says(&ended, "FUNC_TIMEOUT")?;
        says(&ended, "REQ_MB_LIMIT")
    })
    .starts(),
    should("load.10/usage-is-64", "A wrong variable ends the process with status 64.", |t| {
        status(&failed(t, &[("FUNC_TIMEOUT", "soon")])?, 64)
    })
    .starts(),
    should("load.10/function-is-65", "A handler that is not there ends the process with status 65.", |t| {
        status(&failed(t, &[("FUNC_HANDLER", "NoSuchHandler")])?, 65)
    })
    .starts(),
    should(
        "load.11/empty-counts-as-not-set",
        "With FUNC_TIMEOUT and REQ_MB_LIMIT empty the server starts.",
        |t| t.started(&[("FUNC_TIMEOUT", ""), ("REQ_MB_LIMIT", "")])?.get("/")?.ok().map(drop),
    )
    .starts(),
    should("load.12/loaded-before-calls", "Loading takes 4 s; a call after readiness takes less.", |t| {
        let (exchange, took) = timed(|| t.get("/"));
        let exchange = exchange?;
        exchange.ok()?.body("loaded")?;
        exchange.expect(
            took < LOADING,
            "an answer in less than loading takes, 4 s",
            format!("it took {took:.1?}"),
        )
    })
    .on("slow-load"),
    should("load.12/loaded-once", "Five calls, one after the other, do not load the function again.", |t| {
        let (outcome, took) = timed(|| (0..5).try_for_each(|_| t.get("/")?.ok().map(drop)));
        outcome?;
        expect(took < LOADING, "five calls in less than loading takes, 4 s", format!("they took {took:.1?}"))
    })
    .on("slow-load"),
    should("load.13/fractions-of-seconds", "FUNC_TIMEOUT=2.5 is taken, and told to the function.", |t| {
        let trial = t.started(&[("FUNC_TIMEOUT", "2.5")])?;
        let answer = told(&trial, &Request::get("/"))?;
        field(&answer, "/context/timeout", &"2.5".into())
    })
    .starts(),
    should(
        "load.13/no-memory-limit",
        "FUNC_MEMORY_LIMIT=0, as Kubeless says that there is none, is taken.",
        |t| t.started(&[("FUNC_MEMORY_LIMIT", "0")])?.get("/")?.ok().map(drop),
    )
    .starts(),
];

/// How long the fixture `slow-load` takes to load.
const LOADING: Duration = Duration::from_secs(4);

/// What it says when it cannot start, as it must not with this environment.
fn failed(trial: &Trial<'_>, environment: &[(&str, &str)]) -> Result<Ended, Problem> {
    let ended = match trial.start(environment)? {
        refused @ Attempt::Refused(_) => refused.ended()?,
        started => started.ended()?,
    };
    expect(ended.status != Some(0), "an exit status other than 0", "it ended with status 0")?;
    Ok(ended)
}

fn says(ended: &Ended, word: &str) -> Seen {
    expect(
        ended.said.contains(word),
        format!("what it writes has \"{word}\""),
        format!("it has written:\n{}", ended.said.trim()),
    )
}

fn status(ended: &Ended, status: i32) -> Seen {
    expect(
        ended.status.is_none_or(|found| found == status),
        format!("exit status {status}"),
        format!("exit status {}", ended.status.unwrap_or_default()),
    )
}
