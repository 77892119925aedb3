//! The action for CI, without a CI system: `action.sh` with its inputs, and a suite that writes down how it was called.

// What the helpers do fails only where the test itself is broken.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A folder with a `suite` that writes its arguments to the file `arguments`, makes the reports that it is asked for
/// from `report.json` with the real program, and ends with the status in the file `status`.
struct Job {
    folder: TempDir,
}

impl Job {
    fn new(verdict: &str, status: u8) -> Self {
        let job = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(job.path("known.json"), report(verdict).to_string()).unwrap();
        let program = env!("CARGO_BIN_EXE_funchost-conformance");
        job.program(
            "suite",
            &format!(
                "printf '%s\\n' \"$@\" >arguments\n\
                 forms=()\n\
                 while (($#)); do case $1 in --json|--html|--junit|--markdown|--badge) forms+=(\"$1\" \"$2\"); shift;; esac; shift; done\n\
                 [[ {status} -ge 2 ]] || '{program}' report known.json \"${{forms[@]}}\"\n\
                 exit {status}\n"
            ),
        );
        job
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of that name, which is on PATH.
    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, inputs: &[(&str, &str)]) -> Output {
        let system = "/usr/local/bin:/usr/bin:/bin";
        Command::new(Path::new(HERE).join("action.sh"))
            .env_clear()
            .env("PATH", format!("{}:{system}", self.folder.path().display()))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .env("INPUT_RUNNER", "suite")
            .envs(inputs.iter().map(|(name, value)| (format!("INPUT_{name}"), value)))
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn arguments(&self) -> String {
        self.read("arguments").replace('\n', " ")
    }
}

fn report(verdict: &str) -> Value {
    json!({
        "schema": 1,
        "suite": {"name": "funchost-conformance", "version": "0.1.0", "contract": "1"},
        "target": {"kind": "container", "name": "example", "version": null, "address": "example:1", "digest": null,
                   "language": "python", "environment": []},
        "started": "2026-11-21T14:00:00Z",
        "seconds": 1.5,
        "command": [],
        "claims": {"source": "--describe", "capabilities": []},
        "verdict": verdict,
        // A profile's verdict is not the run's.
        "profiles": [{"name": "core", "verdict": "error", "counts": {"passed": 0, "failed": 0, "warned": 0, "skipped": 0,
                      "not_claimed": 0, "errors": 0}}],
        "checks": [],
    })
}

const REPORTS: &str = "--json out/report.json --html out/report.html --junit out/junit.xml --markdown out/summary.md \
                       --badge out/badge.svg";

#[test]
fn every_input_reaches_the_suite() {
    let job = Job::new("conformant", 0);
    let output = job.run(&[
        ("IMAGE", "example:1"),
        ("LANGUAGE", "python"),
        ("FIXTURES", "my fixtures"),
        ("PREPARE", "make it; ready"),
        ("CLAIMS", "claims.json"),
        ("FLOOR", "floor.toml"),
        ("SELECT", "load deadline.2"),
        ("SKIP", "drain"),
        ("ENVIRONMENT", "A=1\nB=two words\n"),
        ("STRICT", "true"),
        ("REPORTS", "out"),
    ]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        job.read("arguments").lines().collect::<Vec<_>>().join("|"),
        format!(
            "run|--container|example:1|--language|python|--fixtures|my fixtures|--prepare|make it; ready|--claims|claims.json\
             |--floor|floor.toml|--only|load|--only|deadline.2|--skip|drain|--env|A=1|--env|B=two words|--strict|{}",
            REPORTS.replace(' ', "|")
        )
    );
}

#[test]
fn a_program_gets_its_arguments_and_a_url_its_fixture() {
    let job = Job::new("conformant", 0);
    job.run(&[("COMMAND", "build/host --serve  now"), ("REPORTS", "out")]);
    assert_eq!(job.arguments(), format!("run --process build/host {REPORTS} -- --serve now "));
    job.run(&[("URL", "http://localhost:8080"), ("FIXTURE", "event"), ("REPORTS", "out")]);
    assert_eq!(job.arguments(), format!("run --url http://localhost:8080 --fixture event {REPORTS} "));
}

#[test]
fn what_was_found_is_told_and_kept() {
    for (verdict, status) in [("conformant", 0), ("partial", 1), ("non-conformant", 1)] {
        let job = Job::new(verdict, status);
        let output = job.run(&[("IMAGE", "example:1")]);
        assert_eq!(output.status.code(), Some(status.into()));
        assert_eq!(
            job.read("output"),
            format!("verdict={verdict}\nstatus={status}\nreports=conformance-report\n")
        );
        assert!(job.read("summary").starts_with(&format!("### example: {verdict}\n")));
        for file in ["report.json", "report.html", "junit.xml", "summary.md", "badge.svg"] {
            assert!(job.path("conformance-report").join(file).exists(), "{file}");
        }
    }
}

#[test]
fn a_suite_that_could_not_look_leaves_no_verdict_of_an_earlier_run() {
    let job = Job::new("conformant", 0);
    job.run(&[("IMAGE", "example:1")]);
    job.program("suite", "exit 3");
    fs::remove_file(job.path("output")).unwrap();
    fs::remove_file(job.path("summary")).unwrap();
    assert_eq!(job.run(&[("IMAGE", "example:1")]).status.code(), Some(3));
    assert_eq!(job.read("output"), "verdict=\nstatus=3\nreports=conformance-report\n");
    assert_eq!(job.read("summary"), "");
}

#[test]
fn the_suite_is_taken_out_of_its_image() {
    let job = Job::new("conformant", 0);
    fs::rename(job.path("suite"), job.path("in-the-image")).unwrap();
    job.program(
        "docker",
        "echo \"$*\" >>docker-calls\n\
         case $1 in\n\
           create) echo 1234 ;;\n\
           inspect) echo /usr/bin/the-suite ;;\n\
           cp) [[ $2 == 1234:/usr/bin/the-suite ]] && cp in-the-image \"$3\" ;;\n\
         esac\n",
    );
    let output = job.run(&[("IMAGE", "example:1"), ("RUNNER", "suite:0.1"), ("REPORTS", "out")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(job.arguments(), format!("run --container example:1 {REPORTS} "));
    let calls = job.read("docker-calls");
    assert!(calls.starts_with("create suite:0.1\n") && calls.ends_with("rm 1234\n"), "{calls}");
}

#[test]
fn wrong_inputs_are_named() {
    let job = Job::new("conformant", 0);
    job.program("docker", "exit 125");
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "one of image, command and url is needed"),
        (&[("IMAGE", "a"), ("URL", "b")], "only one of image, command and url can be looked at"),
        (&[("IMAGE", "a"), ("STRICT", "yes")], "strict is \"yes\"; allowed: true, false"),
        (
            &[("IMAGE", "a"), ("RUNNER", "no-such")],
            "runner: there is neither a program nor an image \"no-such\"",
        ),
    ];
    for (inputs, message) in cases {
        let output = job.run(inputs);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{output:?}");
    }
    assert_eq!(job.arguments(), "", "the suite was run all the same");
}

#[test]
fn the_action_hands_over_what_the_script_reads() {
    let read = |name: &str| fs::read_to_string(Path::new(HERE).join(name)).unwrap();
    let (action, script) = (read("action.yml"), read("action.sh"));
    let inputs = &action[action.find("\ninputs:").unwrap()..action.find("\noutputs:").unwrap()];
    let names: Vec<&str> = inputs
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':').filter(|name| !name.starts_with(' ')))
        .collect();
    assert_eq!(names.len(), 16, "{names:?}");
    for name in names {
        // What happens to the artifact is the action's own business.
        if name == "artifact" {
            continue;
        }
        let variable = format!("INPUT_{}", name.to_uppercase());
        assert!(
            action.contains(&format!("{variable}: ${{{{ inputs.{name} }}}}")),
            "{variable} is not handed over"
        );
        let options = script.lines().find_map(|line| line.strip_prefix("for option in ")).unwrap();
        let is_read = script.contains(&variable) || options.contains(name);
        assert!(is_read, "action.sh does not read {variable}");
    }
}
