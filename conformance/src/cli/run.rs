//! `run`: a target, a run, a report.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::options::Run;
use super::{ERROR, NOT_CONFORMANT, OK, USAGE, complain, say};
use crate::check::Check;
use crate::checks;
use crate::claims::{Description, Floor};
use crate::fixtures::Fixtures;
use crate::report::terminal::Progress;
use crate::result::{CheckResult, Report, SCHEMA, Suite, Target as Looked, Verdict};
use crate::run::{self, Observer, Plan};
use crate::spec::spec;
use crate::target::{Container, Process, Target, Url};
use crate::trial::Context;
use crate::verdict;

pub(super) fn run(options: &Run) -> u8 {
    let progress = Progress::stdout();
    let (report, missing) = match carry_out(options, &progress) {
        Ok(done) => done,
        Err((status, reason)) => {
            complain(reason);
            return status;
        }
    };
    progress.finish(&report);
    if !missing.is_empty() {
        say(format!("the floor asks for more than is claimed: {}", missing.join(", ")));
    }
    if let Err(problem) = options.reports.write(&report) {
        complain(problem);
        return ERROR;
    }
    match report.verdict {
        Verdict::Conformant => OK,
        Verdict::Partial | Verdict::NonConformant => NOT_CONFORMANT,
        Verdict::Error => ERROR,
    }
}

type Stop = (u8, String);

/// The report, and the capabilities that the floor asks for and the target does not claim.
fn carry_out(options: &Run, progress: &Progress) -> Result<(Report, Vec<String>), Stop> {
    let usage = |reason: String| (USAGE, reason);
    let mut digest = None;
    let target: Box<dyn Target> = if let Some(url) = &options.url {
        Box::new(Url::new(url).map_err(usage)?)
    } else if let Some(program) = &options.process {
        let program = program_path(program).map_err(usage)?;
        Box::new(Process::new(program, options.arguments.clone()))
    } else {
        let container = Container {
            program: options.container_program.clone().map_or_else(container_program, Ok).map_err(usage)?,
            image: options.container.clone().unwrap_or_default(),
            options: options.container_options.clone(),
            arguments: options.arguments.clone(),
        };
        digest = container.digest();
        Box::new(container)
    };
    let said = target.describe().map_err(|reason| (ERROR, reason))?;
    let claimed = match &options.claims {
        Some(path) => Description::from_file(path).map_err(usage)?,
        None => said.clone(),
    };
    let claims = claimed.claims();
    let known = checks::capabilities();
    if let Some(unknown) = claims.capabilities.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(usage(format!(
            "{}: the capability \"{unknown}\" is not known; allowed: {}",
            claims.source,
            known.join(", ")
        )));
    }
    let floor = options.floor.as_deref().map(Floor::from_file).transpose().map_err(usage)?;
    let language = options.language.clone().or(said.language).or(claimed.language);
    let language = match (language, &options.url) {
        (Some(language), _) => language,
        (None, Some(_)) => String::new(),
        (None, None) => {
            return Err(usage(
                "the target does not say which language it runs: --language is needed".to_owned(),
            ));
        }
    };
    let all = checks::all();
    for prefix in options.only.iter().chain(&options.skip) {
        if !all.iter().any(|check| check.is_selected_by(prefix)) {
            return Err(usage(format!(
                "no check's id begins with \"{prefix}\"; `funchost-conformance list` prints them"
            )));
        }
    }
    if let Some(fixture) = &options.fixture
        && !all.iter().any(|check| check.fixture == fixture)
    {
        return Err(usage(format!(
            "--fixture {fixture}: no check needs such a fixture; fixtures/README.md lists them"
        )));
    }

    let fixtures = Fixtures::new(&language, options.fixtures.clone(), options.prepare.clone());
    let plan = Plan {
        checks: all,
        only: &options.only,
        skip: &options.skip,
        claims: &claims.capabilities,
        fixture: options.fixture.as_deref(),
        jobs: usize::from(options.jobs),
    };
    let context = Context { target: &*target, fixtures: &fixtures, environment: &options.environment };
    let started = OffsetDateTime::from(SystemTime::now());
    let began = Instant::now();
    let results = run::run(&plan, &context, progress);
    let report = Report {
        schema: SCHEMA,
        suite: Suite {
            name: "funchost-conformance".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contract: spec().version.clone(),
        },
        target: Looked {
            kind: target.kind(),
            name: said.name.or(claimed.name).unwrap_or_else(|| target.address()),
            version: said.version.or(claimed.version),
            address: target.address(),
            digest,
            language: Some(language).filter(|language| !language.is_empty()),
            environment: options.environment.clone(),
        },
        started: started.truncate_to_second().format(&Rfc3339).unwrap_or_default(),
        seconds: began.elapsed().as_secs_f64(),
        command: std::env::args().collect(),
        verdict: verdict::overall(&results, &claims, floor.as_ref(), options.strict),
        profiles: verdict::profiles(&results, &claims, options.strict),
        checks: results,
        claims,
    };
    let missing = floor.map(|floor| floor.missing(&report.claims)).unwrap_or_default();
    Ok((report, missing))
}

/// A program as it was given, but found from everywhere.
fn program_path(program: &Path) -> Result<PathBuf, String> {
    if program.components().count() == 1 && !program.exists() {
        return Ok(program.to_owned());
    }
    std::fs::canonicalize(program).map_err(|problem| format!("--process {}: {problem}", program.display()))
}

fn container_program() -> Result<String, String> {
    #[expect(clippy::disallowed_methods, reason = "where programs are is no setting of the suite")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["podman", "docker"]
        .into_iter()
        .find(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
        .map(str::to_owned)
        .ok_or_else(|| {
            "neither podman nor docker is on PATH; --container-program names another one".to_owned()
        })
}

impl Observer for Progress {
    fn planned(&self, checks: &[&'static Check]) {
        self.planned(checks.len());
    }

    fn done(&self, result: &CheckResult) {
        self.done(result);
    }
}
