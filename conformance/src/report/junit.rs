//! JUnit's XML, which every CI system reads: a suite for each area, a case for each check.

use serde::Serialize;

use super::template;
use super::text::{harmless, one_line};
use super::view::{Ending, area, level, reason, title};
use crate::result::{CheckResult, Report};

#[derive(Serialize)]
struct Junit<'a> {
    report: &'a Report,
    name: String,
    all: Totals,
    suites: Vec<Suite<'a>>,
}

#[derive(Serialize)]
struct Suite<'a> {
    area: &'a str,
    totals: Totals,
    cases: Vec<Case<'a>>,
}

#[derive(Serialize)]
struct Case<'a> {
    check: &'a CheckResult,
    ending: Ending,
    level: &'static str,
    /// One line about it, for the table that a CI system shows.
    message: String,
    /// All that is known about it.
    details: String,
}

#[derive(Default, Serialize)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    seconds: f64,
}

impl Totals {
    fn add(&mut self, case: &Case<'_>) {
        self.tests += 1;
        self.seconds += case.check.seconds;
        match case.ending {
            Ending::Failed => self.failures += 1,
            Ending::Error => self.errors += 1,
            Ending::Skipped | Ending::NotClaimed => self.skipped += 1,
            Ending::Passed | Ending::Warned => {}
        }
    }
}

/// The report as JUnit XML. A broken SHOULD or MAY is a passed case that says so on its standard output: JUnit has no
/// warnings, and a failed case would fail the build.
pub fn junit(report: &Report) -> String {
    let report = &harmless(report);
    let mut suites: Vec<Suite<'_>> = Vec::new();
    let mut all = Totals::default();
    for check in &report.checks {
        let case = Case::new(check);
        all.add(&case);
        let area = area(check);
        if suites.last().is_none_or(|suite| suite.area != area) {
            suites.push(Suite { area, totals: Totals::default(), cases: Vec::new() });
        }
        let suite = suites.last_mut().expect("one was just added");
        suite.totals.add(&case);
        suite.cases.push(case);
    }
    // What runs beside each other takes less time than its parts.
    all.seconds = report.seconds;
    let name = format!("{}: {}", report.suite.name, one_line(&title(&report.target)));
    let junit = Junit { report, name, all, suites };
    template::render("junit.xml", junit)
}

impl<'a> Case<'a> {
    fn new(check: &'a CheckResult) -> Self {
        let message = match (reason(check), &check.evidence) {
            (Some(reason), _) => one_line(reason),
            (None, Some(evidence)) => {
                format!("expected: {}; actual: {}", one_line(&evidence.expected), one_line(&evidence.actual))
            }
            (None, None) => String::new(),
        };
        Self { check, ending: Ending::of(check), level: level(check.level), message, details: details(check) }
    }
}

fn details(check: &CheckResult) -> String {
    let mut details = format!("{} ({}) {}\n", check.requirement, level(check.level), check.text);
    if let Some(evidence) = &check.evidence {
        let parts = [
            ("expected", Some(&evidence.expected)),
            ("actual", Some(&evidence.actual)),
            ("request", evidence.request.as_ref()),
            ("response", evidence.response.as_ref()),
            ("log", evidence.log.as_ref()),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                details.push_str(&format!("\n{name}:\n{part}\n"));
            }
        }
    }
    details
}
