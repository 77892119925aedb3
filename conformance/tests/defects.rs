//! Every check passes when it should, and fails when it should: on a server that breaks one thing at a time.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::sync::Mutex;

use conformance::check::Check;
use conformance::checks;
use conformance::fixtures::Fixtures;
use conformance::result::{CheckResult, Outcome};
use conformance::run::{self, Observer, Plan};
use conformance::target::Process;
use conformance::trial::Context;
use tempfile::TempDir;

/// Most of the time of a check that fails is waiting.
const AT_ONCE: usize = 24;

struct Nobody;

impl Observer for Nobody {
    fn planned(&self, _: &[&'static Check]) {}

    fn done(&self, _: &CheckResult) {}
}

/// A folder with the stub's functions: each is the name of what it does.
fn functions() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for check in checks::all() {
        let fixture = folder.path().join("stub").join(check.fixture);
        std::fs::create_dir_all(&fixture).unwrap();
        std::fs::write(fixture.join("function.stub"), check.fixture).unwrap();
    }
    folder
}

fn results(fixtures: &Fixtures, checks: Vec<&'static Check>, defect: &str, jobs: usize) -> Vec<CheckResult> {
    let target = Process::new(PathBuf::from(env!("CARGO_BIN_EXE_conformance-stub")), Vec::new());
    let claims: Vec<_> = checks::capabilities().into_iter().map(str::to_owned).collect();
    let environment = vec![("STUB_DEFECT".to_owned(), defect.to_owned())];
    let plan = Plan { checks, only: &[], skip: &[], claims: &claims, fixture: None, jobs };
    run::run(&plan, &Context { target: &target, fixtures, environment: &environment }, &Nobody)
}

/// What is wrong with results that should all end like this.
fn others(results: Vec<CheckResult>, expected: &Outcome) -> Vec<String> {
    let odd = results.into_iter().filter(|result| result.outcome != *expected);
    odd.map(|result| format!("{}: {:?} {:?}", result.id, result.outcome, result.evidence)).collect()
}

#[test]
fn a_server_without_a_defect_passes_every_check() {
    let folder = functions();
    let fixtures = Fixtures::new("stub", Some(folder.path().to_owned()), None);
    let results = results(&fixtures, checks::all(), "", 8);
    assert_eq!(results.len(), checks::all().len());
    assert_eq!(others(results, &Outcome::Passed), Vec::<String>::new());
}

#[test]
fn every_check_fails_on_a_server_with_its_defect() {
    let folder = functions();
    let fixtures = Fixtures::new("stub", Some(folder.path().to_owned()), None);
    let waiting = Mutex::new(checks::all());
    let odd = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some(check) = next else { break };
                    let results = results(&fixtures, vec![check], check.id, 1);
                    odd.lock().unwrap().extend(others(results, &Outcome::Failed));
                }
            });
        }
    });
    let odd = odd.into_inner().unwrap();
    assert!(odd.is_empty(), "these checks do not fail:\n{}", odd.join("\n"));
}
