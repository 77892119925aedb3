//! Reports for the tests: an ordinary one, one without trouble, and one whose target does its worst.

use crate::result::*;

/// What a target could log to fool whoever reads it: an escape sequence, a script, the end of every kind of block, a
/// name for an entity, text that turns around, and what XML cannot hold.
pub(super) const HOSTILE: &str = "\x1b[2J\x1b]0;all fine\x07<script>alert(1)</script>\"'&lt;]]></failure></pre>\0\x08\r\n\
     ``````\n| a | b |\n\u{202e}desrever\u{fffe}\u{85}--> *bold* [link](x) \u{feff}end\r";

pub(super) fn check(id: &str, level: Level, outcome: Outcome) -> CheckResult {
    let requirement = id.split('/').next().unwrap_or(id).to_owned();
    CheckResult {
        id: id.to_owned(),
        summary: format!("what {id} looks at"),
        text: format!("The host {level:?} do what {requirement} says."),
        requirement,
        level,
        capability: None,
        fixture: Some("echo".to_owned()),
        outcome,
        seconds: 0.25,
        evidence: None,
    }
}

/// A report about these checks; its counts and profiles are worked out as the suite does.
pub(super) fn report(verdict: Verdict, checks: Vec<CheckResult>) -> Report {
    let capabilities = vec!["binary-body".to_owned(), "dependencies".to_owned()];
    let mut profiles = Vec::new();
    for name in std::iter::once("core").chain(capabilities.iter().map(String::as_str)) {
        let of = checks.iter().filter(|check| check.capability.as_deref().unwrap_or("core") == name);
        let mut counts = Counts::default();
        for check in of {
            *match (&check.outcome, check.level) {
                (Outcome::Passed, _) => &mut counts.passed,
                (Outcome::Failed, Level::Must) => &mut counts.failed,
                (Outcome::Failed, _) => &mut counts.warned,
                (Outcome::Skipped(_), _) => &mut counts.skipped,
                (Outcome::NotClaimed, _) => &mut counts.not_claimed,
                (Outcome::Error(_), _) => &mut counts.errors,
            } += 1;
        }
        let verdict = if counts.failed > 0 { Verdict::NonConformant } else { Verdict::Conformant };
        profiles.push(ProfileResult { name: name.to_owned(), verdict, counts });
    }
    Report {
        schema: SCHEMA,
        suite: Suite {
            name: "funchost-conformance".to_owned(),
            version: "0.1.0".to_owned(),
            contract: "1".to_owned(),
        },
        target: Target {
            kind: TargetKind::Container,
            name: "example".to_owned(),
            version: Some("1.2.3".to_owned()),
            address: "registry.example/functions/example:1.2.3".to_owned(),
            digest: Some("sha256:0b5e".to_owned()),
            language: Some("python".to_owned()),
            environment: vec![("FUNC_ISOLATION".to_owned(), "process".to_owned())],
        },
        started: "2026-11-21T14:00:00Z".to_owned(),
        seconds: 42.5,
        command: ["funchost-conformance", "run", "--image", "registry.example/functions/example:1.2.3"]
            .map(str::to_owned)
            .into(),
        claims: Claims { source: "--describe".to_owned(), capabilities },
        verdict,
        profiles,
        checks,
    }
}

/// Every way to end.
pub(super) fn mixed() -> Report {
    let mut failed = check("limits.2/declared-body", Level::Must, Outcome::Failed);
    failed.evidence = Some(Evidence {
        expected: "status 413".to_owned(),
        actual: "status 200".to_owned(),
        request: Some(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1048577\r\n\r\nxxxx... (1048577 bytes)"
                .to_owned(),
        ),
        response: Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()),
        log: Some((1..=20).map(|n| format!("line {n}\n")).collect()),
    });
    let mut warned = check("cors.3/origin-on-errors", Level::Should, Outcome::Failed);
    warned.evidence = Some(Evidence {
        expected: "Access-Control-Allow-Origin: *".to_owned(),
        actual: "no such header".to_owned(),
        request: Some("GET /".to_owned()),
        ..Evidence::default()
    });
    let mut claimed = check("data.4/bytes", Level::Must, Outcome::Passed);
    claimed.capability = Some("binary-body".to_owned());
    let mut unclaimed = check("reply.9/streamed", Level::May, Outcome::NotClaimed);
    unclaimed.capability = Some("streaming-reply".to_owned());
    unclaimed.seconds = 0.0;
    let checks = vec![
        check("load.1/handler", Level::Must, Outcome::Passed),
        check("load.2/one-import", Level::Should, Outcome::Passed),
        claimed,
        unclaimed,
        warned,
        failed,
        check("limits.5/gzip", Level::Must, Outcome::Skipped("not selected".to_owned())),
        check("drain.1/exit", Level::Must, Outcome::Error("the port was taken".to_owned())),
    ];
    report(Verdict::NonConformant, checks)
}

/// Nothing to complain of.
pub(super) fn clean() -> Report {
    let mut report = mixed();
    report.checks.retain(|check| matches!(check.outcome, Outcome::Passed | Outcome::NotClaimed));
    self::report(Verdict::Conformant, report.checks)
}

/// [`HOSTILE`] wherever a target has a say.
pub(super) fn hostile() -> Report {
    let mut report = mixed();
    report.target.name = HOSTILE.to_owned();
    report.target.version = Some(HOSTILE.to_owned());
    report.target.address = HOSTILE.to_owned();
    report.target.environment.push((HOSTILE.to_owned(), HOSTILE.to_owned()));
    report.command.push(HOSTILE.to_owned());
    report.claims.source = HOSTILE.to_owned();
    report.claims.capabilities.push(HOSTILE.to_owned());
    report.profiles.push(ProfileResult {
        name: HOSTILE.to_owned(),
        verdict: Verdict::Partial,
        counts: Counts::default(),
    });
    for check in &mut report.checks {
        check.capability = Some(HOSTILE.to_owned());
        check.evidence = Some(Evidence {
            expected: HOSTILE.to_owned(),
            actual: HOSTILE.to_owned(),
            request: Some(HOSTILE.to_owned()),
            response: Some(HOSTILE.to_owned()),
            log: Some(HOSTILE.to_owned()),
        });
        if let Outcome::Skipped(reason) | Outcome::Error(reason) = &mut check.outcome {
            *reason = HOSTILE.to_owned();
        }
    }
    report
}
