//! What checks of several areas do.

use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;

use crate::http::{Connection, Exchange, Request};
use crate::problem::Problem;
use crate::trial::Trial;

/// The media type of bodies that nobody should look into.
pub(super) const BYTES: &str = "application/octet-stream";
/// The media type of JSON.
pub(super) const JSON: &str = "application/json";
/// The media type of text.
pub(super) const TEXT: &str = "text/plain";

/// What the fixture `event` says of a request: the answer, and its body.
pub(super) fn told(trial: &Trial<'_>, request: &Request) -> Result<(Exchange, Value), Problem> {
    let exchange = trial.send(request)?;
    exchange.ok()?;
    let value = exchange.json()?;
    Ok((exchange, value))
}

/// The field at `path`, such as `/event/id`, is this.
pub(super) fn field(told: &(Exchange, Value), path: &str, expected: &Value) -> Result<(), Problem> {
    let found = told.1.pointer(path).unwrap_or(&Value::Null);
    told.0.expect(
        found == expected,
        format!("the function is told {path} = {expected}"),
        format!("{path} = {found}"),
    )
}

/// The bytes of `data`, as the fixture `event` tells them.
pub(super) fn data(told: &(Exchange, Value)) -> Result<Vec<u8>, Problem> {
    let found = told.1.pointer("/data/base64").and_then(Value::as_str);
    found.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok()).ok_or_else(|| {
        told.0.problem("the function gets the body as text or bytes", format!("data = {}", told.1["data"]))
    })
}

/// The function gets these bytes as `data`.
pub(super) fn data_is(told: &(Exchange, Value), expected: &[u8]) -> Result<(), Problem> {
    let found = data(told)?;
    told.0.expect(
        found == expected,
        format!("the function gets the {} bytes that were sent", expected.len()),
        format!(
            "it gets {} bytes: {:?}",
            found.len(),
            String::from_utf8_lossy(&found[..found.len().min(80)])
        ),
    )
}

/// Sends a call that says `begun` when it has begun, and waits until it does.
pub(super) fn begin(trial: &Trial<'_>, target: &str, name: &str) -> Result<Connection, Problem> {
    let mut connection = trial.connect()?;
    connection.send(&Request::get(target).header("event-id", name));
    begun(trial, name)?;
    Ok(connection)
}

/// Waits until the fixture `work` has begun with the call of this event id.
pub(super) fn begun(trial: &Trial<'_>, name: &str) -> Result<(), Problem> {
    let word = format!("begun {name}");
    trial.log_until(&format!("the function begins, and its line \"{word}\" is in the log"), |log| {
        log.contains(&word)
    })?;
    Ok(())
}

/// The function has not been called with this event id: a later call's line is in the log, and no line of this one.
pub(super) fn was_not_called(trial: &Trial<'_>, name: &str) -> Result<(), Problem> {
    let later = format!("after-{name}");
    trial.send(&Request::get("/").header("event-id", &later))?.status(200)?;
    let log = trial.log_until("what the function prints is in the log", |log| {
        log.contains(&format!("called {later}"))
    })?;
    crate::problem::expect(
        !log.contains(&format!("called {name}")),
        "the function is not called",
        format!("it was called: the log has its line \"called {name}\""),
    )
}

/// How long something took.
pub(super) fn timed<T>(something: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = something();
    (result, began.elapsed())
}

/// A name that no other call of the run has.
pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:08x}", fastrand::u32(..))
}
