//! The command line, and the ways to reach a target.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance::checks;
use conformance::result::{Outcome, Report, TargetKind, Verdict};
use tempfile::TempDir;

const STUB: &str = env!("CARGO_BIN_EXE_conformance-stub");

/// A folder with the stub's functions.
fn functions() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for check in checks::all() {
        let fixture = folder.path().join("stub").join(check.fixture);
        std::fs::create_dir_all(&fixture).unwrap();
        std::fs::write(fixture.join("function.stub"), check.fixture).unwrap();
    }
    folder
}

struct Ran {
    status: Option<i32>,
    said: String,
    report: Option<Report>,
}

/// Runs the program with the stub's functions.
fn suite(arguments: &[&str]) -> Ran {
    let folder = functions();
    let json = folder.path().join("report.json");
    let mut suite = Command::new(env!("CARGO_BIN_EXE_funchost-conformance"));
    suite.arg("run").arg("--fixtures").arg(folder.path()).arg("--json").arg(&json).args(arguments);
    let output = suite.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read(&json).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
    Ran { status: output.status.code(), said, report }
}

fn outcome<'a>(report: &'a Report, id: &str) -> &'a Outcome {
    &report.checks.iter().find(|check| check.id == id).unwrap().outcome
}

#[test]
fn a_failure_is_told_with_all_that_helps() {
    let ran = suite(&["--process", STUB, "--only", "event.1", "--env", "STUB_DEFECT=event.1/id"]);
    assert_eq!(ran.status, Some(1), "{}", ran.said);
    let report = ran.report.unwrap();
    assert_eq!(report.verdict, Verdict::NonConformant);
    assert_eq!((report.target.kind, report.target.name.as_str()), (TargetKind::Process, "stub"));
    let failed = report.checks.iter().find(|check| check.id == "event.1/id").unwrap();
    let evidence = failed.evidence.as_ref().unwrap();
    assert!(evidence.expected.contains("a1b2-c3"), "{evidence:?}");
    assert!(evidence.request.as_ref().unwrap().contains("event-id: a1b2-c3"), "{evidence:?}");
    assert!(evidence.response.as_ref().unwrap().contains("HTTP/1.1 200"), "{evidence:?}");
    assert!(evidence.log.as_ref().unwrap().contains("GET / HTTP/1.1"), "{evidence:?}");
    assert_eq!(*outcome(&report, "event.1/type"), Outcome::Passed);
    assert_eq!(
        *outcome(&report, "load.1/function-is-called"),
        Outcome::Skipped("it was not selected".to_owned())
    );
}

#[test]
fn leaving_out_a_must_is_partial_and_a_warning_is_not() {
    let skipped = suite(&["--process", STUB, "--only", "event.1"]);
    assert_eq!((skipped.status, skipped.report.unwrap().verdict), (Some(1), Verdict::Partial));
    let defect = "STUB_DEFECT=health.2/body-is-ok";
    let only = ["--process", STUB, "--only", "health.2/body-is-ok", "--env", defect];
    let warned = suite(&only).report.unwrap();
    assert_eq!((warned.verdict, warned.profiles[0].counts.warned), (Verdict::Partial, 1));
    let strict = suite(&[&only[..], &["--strict"]].concat()).report.unwrap();
    assert_eq!(strict.verdict, Verdict::NonConformant);
}

#[test]
fn what_cannot_be_carried_out_is_an_error_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let mut suite = Command::new(env!("CARGO_BIN_EXE_funchost-conformance"));
    suite.args(["run", "--process", STUB, "--only", "event.1", "--fixtures", empty]);
    let output = suite.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("there is no fixture stub/event in ") && !said.contains("FAIL"), "{said}");
}

#[test]
fn a_server_that_does_not_start_is_an_error_with_its_log() {
    let ran = suite(&["--process", STUB, "--only", "event.1/id", "--env", "FUNC_TIMEOUT=soon"]);
    assert_eq!(ran.status, Some(3), "{}", ran.said);
    assert!(ran.said.contains("FUNC_TIMEOUT is \"soon\""), "{}", ran.said);
}

#[test]
fn mistakes_in_the_arguments_name_what_is_wrong() {
    let cases: &[(&[&str], &str)] = &[
        (&["--process", STUB, "--only", "nonsense"], "no check's id begins with \"nonsense\""),
        (&["--process", STUB, "--env", "NOVALUE"], "it is not NAME=VALUE"),
        (&["--process", "/nonexistent/server"], "--process /nonexistent/server: "),
        (&["--process", STUB, "--claims", "/nonexistent/claims.toml"], "/nonexistent/claims.toml: "),
        (
            &["--url", "ftp://localhost", "--fixture", "event"],
            "--url ftp://localhost: it does not begin with http://",
        ),
        (&["--url", "http://localhost:1"], "--fixture"),
        (&["--process", STUB, "--url", "http://localhost:1", "--fixture", "event"], "cannot be used with"),
        (&[], "--container"),
    ];
    for (arguments, expected) in cases {
        let ran = suite(arguments);
        assert_eq!(ran.status, Some(2), "{arguments:?}: {}", ran.said);
        assert!(ran.said.contains(expected), "{arguments:?}: {}", ran.said);
    }
}

#[test]
fn claims_are_held_against_a_floor_and_unknown_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let little = file("little.json", r#"{"capabilities": ["binary-body"]}"#);
    let floor = file("floor.toml", "capabilities = [\"binary-body\", \"multipart\"]");
    let odd = file("odd.toml", "capabilities = [\"levitation\"]");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let ran =
        suite(&["--process", STUB, "--only", "data.6", "--claims", &text(&little), "--floor", &text(&floor)]);
    let report = ran.report.unwrap();
    assert_eq!((ran.status, report.verdict), (Some(1), Verdict::NonConformant));
    assert!(ran.said.contains("the floor asks for more than is claimed: multipart"), "{}", ran.said);
    assert_eq!(report.claims.capabilities, ["binary-body"]);
    assert_eq!(*outcome(&report, "data.6/every-byte-arrives"), Outcome::Passed);
    let unknown = suite(&["--process", STUB, "--claims", &text(&odd)]);
    assert_eq!(unknown.status, Some(2));
    assert!(
        unknown.said.contains("the capability \"levitation\" is not known; allowed: async-handlers, "),
        "{}",
        unknown.said
    );
}

#[test]
fn a_failed_preparation_is_an_error_and_where_it_should_fail_a_pass() {
    let prepare = "grep -q broken function.stub && { echo 'no database today'; exit 1; } || true";
    let ran = suite(&[
        "--process",
        STUB,
        "--prepare",
        prepare,
        "--only",
        "load.6",
        "--only",
        "load.7/load-error-is-told",
    ]);
    let report = ran.report.unwrap();
    for id in
        ["load.6/ends-when-loading-fails", "load.7/load-error-is-told", "load.6/ends-without-the-handler"]
    {
        assert_eq!(*outcome(&report, id), Outcome::Passed, "{id}");
    }
    let unprepared =
        suite(&["--process", STUB, "--prepare", "echo out of luck; false", "--only", "event.1/id"]);
    assert_eq!(unprepared.status, Some(3));
    assert!(unprepared.said.contains("out of luck"), "{}", unprepared.said);
}

#[test]
fn a_server_that_runs_already_is_looked_at_from_outside_only() {
    let folder = functions();
    // A port that nobody has.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(STUB)
        .env("MOD_ROOT_PATH", folder.path().join("stub/event"))
        .envs([("MOD_NAME", "function"), ("FUNC_HANDLER", "Handle")])
        .env("FUNC_PORT", port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ran = suite(&["--url", &format!("http://localhost:{port}"), "--fixture", "event"]);
    server.kill().unwrap();
    server.wait().unwrap();
    let report = ran.report.unwrap();
    assert_eq!(
        (ran.status, report.verdict, report.target.kind),
        (Some(1), Verdict::Partial, TargetKind::Url)
    );
    assert_eq!(*outcome(&report, "event.1/id"), Outcome::Passed);
    assert_eq!(report.profiles[0].counts.failed + report.profiles[0].counts.warned, 0, "{}", ran.said);
    for id in [
        "logs.1/line-per-request",
        "drain.1/sigterm-ends-with-0",
        "load.6/ends-without-the-handler",
        "event.4/timeout",
        "reply.1/text-is-the-body",
    ] {
        assert!(matches!(outcome(&report, id), Outcome::Skipped(_)), "{id}");
    }
}

#[test]
fn containers_are_started_watched_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("fake-containers");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake-containers.sh"), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    let areas =
        ["load", "health", "errors", "drain", "reply.11", "data.6", "data.11"].map(|area| ["--only", area]);
    let target = [
        "--container",
        STUB,
        "--container-program",
        program,
        "--language",
        "stub",
        "--container-arg=--memory=256m",
    ];
    let ran = suite(&[&target[..], areas.as_flattened()].concat());
    let report = ran.report.unwrap();
    assert_eq!(ran.status, Some(1), "{}", ran.said);
    assert_eq!(
        (report.verdict, report.target.kind),
        (Verdict::Partial, TargetKind::Container),
        "{}",
        ran.said
    );
    assert_eq!(report.claims.capabilities, ["binary-body", "streaming-reply"]);
    assert_eq!(
        (report.target.version.as_deref(), report.target.digest.as_deref()),
        (Some("1.2.3"), Some("sha256:0123"))
    );
    assert_eq!(
        report.profiles.iter().map(|profile| profile.counts.warned + profile.counts.failed).sum::<usize>(),
        0,
        "{}",
        ran.said
    );
    for id in [
        "drain.1/sigterm-ends-with-0",
        "load.8/reason-is-in-the-termination-log",
        "errors.5/message-is-logged",
        "data.6/every-byte-arrives",
    ] {
        assert_eq!(*outcome(&report, id), Outcome::Passed, "{id}");
    }
    assert_eq!(*outcome(&report, "data.11/file-arrives"), Outcome::NotClaimed);
    assert_eq!(std::fs::read_to_string(folder.path().join("state/option")).unwrap(), "--memory=256m");
}
