//! What the server and the function write.

use serde_json::Value;

use super::tools::unique;
use crate::check::{Check, should};
use crate::http::Request;
use crate::problem::{Problem, Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    should(
        "logs.1/line-per-request",
        "A request's line with method, path and status is on standard output.",
        |t| {
            let path = format!("/{}", unique("line"));
            t.send(&Request::new("POST", &path))?;
            t.line_until("a line with POST, the path and 200", |line| {
                line.contains(&path) && line.contains("POST") && line.contains("200")
            })
            .map(drop)
        },
    )
    .logs(),
    should("logs.1/line-has-the-date", "That line has the date.", |t| {
        let path = format!("/{}", unique("date"));
        t.get(&path)?;
        let line = t.line_until("a line with the path", |line| line.contains(&path))?;
        // Whichever way it is written, it has the year, and a time with colons.
        let year = (2026..2100).any(|year| line.contains(&year.to_string()));
        let bytes = line.as_bytes();
        let time = bytes.windows(5).any(|part| {
            part[0] == b':' && part[3] == b':' && [part[1], part[2], part[4]].iter().all(u8::is_ascii_digit)
        });
        expect(year && time, "a date with its time", line)
    })
    .logs(),
    should("logs.1/failure-has-its-line", "A failure's line says 500.", |t| {
        let path = format!("/{}", unique("failure"));
        t.get(&format!("{path}?how=raise"))?;
        t.line_until("a line with the path and 500", |line| line.contains(&path) && line.contains(" 500"))
            .map(drop)
    })
    .on("fail")
    .logs(),
    should("logs.1/refused-body-has-its-line", "A refused body's line says 413.", |t| {
        let path = format!("/{}", unique("large"));
        t.send(&Request::post(&path, "text/plain", vec![b'x'; 1024 * 1024 + 1]))?;
        t.line_until("a line with the path and 413", |line| line.contains(&path) && line.contains("413"))
            .map(drop)
    })
    .logs(),
    should("logs.1/health-has-its-line", "A probe's line is there as well.", |t| {
        let mark = unique("probe");
        t.get(&format!("/healthz?{mark}"))?;
        t.line_until("a line with /healthz", |line| line.contains("/healthz")).map(drop)
    })
    .logs(),
    should(
        "logs.2/print-comes-at-once",
        "What a function prints is in the log while the function still runs.",
        |t| {
            let name = unique("early");
            let mut connection = t.connect()?;
            connection.send(&Request::get("/?do=sleep&ms=20000").header("event-id", &name));
            super::tools::begun(t, &name)?;
            expect(
                !connection.is_answered(),
                "the line is there before the answer",
                "the answer was there first",
            )
        },
    )
    .on("work")
    .logs()
    .alone(),
    should("logs.2/print-is-not-in-the-answer", "What a function prints is not in its answer.", |t| {
        let word = unique("printed");
        t.get(&format!("/?do=print&text={word}"))?.ok()?.body("done")?;
        printed(t, &word)
    })
    .on("work")
    .logs(),
    should("logs.2/errors-are-logged-too", "What a function writes to standard error is in the log.", |t| {
        let word = unique("complained");
        t.get(&format!("/?do=complain&text={word}"))?.ok()?;
        printed(t, &word)
    })
    .on("work")
    .logs(),
    should("logs.3/lines-do-not-tear", "Lines that twenty calls print at once each stay whole.", |t| {
        let word = unique("line");
        std::thread::scope(|scope| {
            for number in 0..20 {
                let target =
                    format!("/?do=print&text={word}-{number:02}-{}-end&times=20", "abcdefgh".repeat(40));
                scope.spawn(move || t.get(&target).map(drop));
            }
        });
        let lines = |log: &str| {
            log.lines()
                .filter(|line| line.contains(&format!("{word}-")) && !line.contains("HTTP/1.1"))
                .count()
        };
        let log = t.log_until("400 lines that the function has printed", |log| lines(log) >= 400)?;
        let is_whole = |line: &&str| {
            line.matches(&word).count() == 1 && line.contains(&format!("-{}-end", "abcdefgh".repeat(40)))
        };
        let torn = log
            .lines()
            .filter(|line| line.contains(&format!("{word}-")) && !line.contains("HTTP/1.1"))
            .find(|line| !is_whole(line));
        expect(torn.is_none(), "400 whole lines", format!("this one: {}", torn.unwrap_or_default()))
    })
    .on("work")
    .logs(),
    should("logs.4/json-lines", "With FUNC_LOG_FORMAT=json every line of standard output is JSON.", |t| {
        let path = format!("/{}", unique("json"));
        t.get(&path)?.ok()?;
        access(t, &path)?;
        let output = t.instance()?.output().stdout;
        let odd = output.lines().find(|line| serde_json::from_str::<Value>(line).is_err());
        expect(odd.is_none(), "lines that are all JSON", format!("this one: {}", odd.unwrap_or_default()))
    })
    .env(&[("FUNC_LOG_FORMAT", "json")])
    .logs(),
    should(
        "logs.4/json-has-method-and-status",
        "A request's line has the method and the status as fields.",
        |t| {
            let path = format!("/{}", unique("fields"));
            t.send(&Request::new("PUT", &path))?.ok()?;
            let line = access(t, &path)?;
            let has = |wanted: &Value| {
                line.as_object().is_some_and(|fields| fields.values().any(|value| value == wanted))
            };
            expect(
                has(&"PUT".into()) && has(&200.into()),
                "a field that is PUT, and one that is 200",
                line.to_string(),
            )
        },
    )
    .env(&[("FUNC_LOG_FORMAT", "json")])
    .logs(),
    should("logs.5/access-lines-can-be-off", "With FUNC_ACCESS_LOG=off there is no line per request.", |t| {
        let (path, id) = (format!("/{}", unique("quiet")), unique("id"));
        t.send(&Request::get(&path).header("event-id", &id))?.ok()?;
        super::tools::was_not_called(t, &unique("never"))?;
        let log = t.log_until("what the function prints is in the log", |log| log.contains(&id))?;
        expect(!log.contains(&path), "no line with the path", "there is one")
    })
    .env(&[("FUNC_ACCESS_LOG", "off")])
    .logs(),
];

/// The word is in a line of the log, and not only in that of the request.
fn printed(trial: &Trial<'_>, word: &str) -> Seen {
    let has = |log: &str| log.lines().any(|line| line.contains(word) && !line.contains("text="));
    trial.log_until("what the function writes is in the log", has).map(drop)
}

fn access(trial: &Trial<'_>, path: &str) -> Result<Value, Problem> {
    let line = trial.line_until("a line with the path", |line| line.contains(path))?;
    serde_json::from_str(&line)
        .map_err(|problem| Problem::failed("a line that is JSON", format!("{problem}: {line}")))
}
