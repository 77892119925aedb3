//! The hosts of this repository keep the contract, with functions in worker processes and in the server's own.
//!
//! They are looked for beside this test, where the workspace's binaries are. The reports stay in `conformance/` of the
//! target folder.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use conformance::claims::Floor;
use conformance::result::{Counts, Outcome, Report, Verdict};

/// The folder with the workspace's binaries.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// What does not hold yet: language, isolation, check. Whoever mends one takes it out.
const OPEN: &[(&str, &str, &str)] = &[
    // A panic in `init` comes before the plugin could say where Go's report of it goes.
    ("go", "thread", "load.8/reason-is-in-the-termination-log"),
];

/// Runs the suite as a user would, and looks at its report.
fn holds(language: &str, isolation: &str) {
    // One after the other: each run uses the whole machine.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let host = binaries().join(format!("funchost-{language}"));
    assert!(host.is_file(), "{} is not there: build the workspace first", host.display());
    let folder = binaries().parent().unwrap().join("conformance");
    std::fs::create_dir_all(&folder).unwrap();
    let json = folder.join(format!("funchost-{language}-{isolation}.json"));
    let floor = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/funchost-{language}.toml"));

    let mut suite = Command::new(env!("CARGO_BIN_EXE_funchost-conformance"));
    suite.args(["run"]).arg("--process").arg(&host).arg("--json").arg(&json).arg("--floor").arg(&floor);
    suite.arg("--env").arg(format!("FUNC_ISOLATION={isolation}"));
    if language == "go" {
        suite.arg("--prepare").arg(format!("'{}' build", host.display()));
    }
    let output = suite.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let passed: fn(&&str) -> bool = |line| !line.contains("] pass ");
    let said: String = said.lines().filter(passed).map(|line| format!("{line}\n")).collect();
    assert_eq!(output.status.code(), Some(0), "{said}");

    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(report.verdict, Verdict::Conformant);
    assert_eq!(report.target.language.as_deref(), Some(language));
    assert_eq!(Floor::from_file(&floor).unwrap().missing(&report.claims), Vec::<String>::new());
    let mut profiles: Vec<_> = report.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(profiles.remove(0), "core");
    assert_eq!(profiles, report.claims.capabilities);
    for profile in &report.profiles {
        let Counts { passed, warned, .. } = profile.counts;
        assert_eq!(profile.counts, Counts { passed, warned, ..Counts::default() }, "{}", profile.name);
        assert!(passed > 0, "{} has no checks", profile.name);
    }
    let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let failed: Vec<_> = failed.map(|check| check.id.as_str()).collect();
    let open = OPEN.iter().filter(|(host, mode, _)| *host == language && *mode == isolation);
    assert_eq!(failed, open.map(|(_, _, check)| *check).collect::<Vec<_>>(), "{said}");
    let unlooked =
        report.checks.iter().filter(|check| matches!(check.outcome, Outcome::Skipped(_) | Outcome::Error(_)));
    assert_eq!(unlooked.count(), 0);
}

#[test]
fn python_in_processes() {
    holds("python", "process");
}

#[test]
fn python_in_a_thread() {
    holds("python", "thread");
}

#[test]
fn go_in_processes() {
    holds("go", "process");
}

#[test]
fn go_in_a_thread() {
    holds("go", "thread");
}

#[test]
fn nodejs_in_processes() {
    holds("nodejs", "process");
}

#[test]
fn nodejs_in_a_thread() {
    holds("nodejs", "thread");
}
