//! The page: one file that loads nothing and runs nothing. What is folded and filtered needs no script, so the page
//! forbids scripts, and whatever a target has logged stays text.

use askama::Template;

use super::text::{duration, harmless, one_line};
use super::view::{self, Ending, area, reason};
use crate::result::{CheckResult, Counts, Evidence, ProfileResult, Report};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    title: String,
    verdict: &'static str,
    sentence: String,
    facts: Vec<(&'static str, String)>,
    command: String,
    claims: Vec<String>,
    counts: Counts,
    profiles: Vec<Profile<'a>>,
    areas: Vec<Area<'a>>,
}

struct Profile<'a> {
    name: &'a str,
    verdict: &'static str,
    passed: usize,
    total: usize,
    /// The parts of its bar: how they ended, how many, of a hundred.
    parts: Vec<(Ending, usize, f64)>,
}

struct Area<'a> {
    name: &'a str,
    note: String,
    checks: Vec<Check<'a>>,
}

struct Check<'a> {
    check: &'a CheckResult,
    ending: Ending,
    reason: Option<&'a str>,
    evidence: Vec<Part<'a>>,
}

/// A piece of evidence.
struct Part<'a> {
    name: &'static str,
    text: &'a str,
}

/// The report as one HTML file.
pub fn html(report: &Report) -> String {
    let report = &harmless(report);
    let page = Page {
        report,
        title: one_line(&view::title(&report.target)),
        verdict: view::word(report.verdict),
        sentence: view::sentence(report),
        facts: facts(report),
        command: one_line(&report.command.join(" ")),
        claims: report.claims.capabilities.iter().map(|name| one_line(name)).collect(),
        counts: view::counts(report),
        profiles: report.profiles.iter().map(Profile::new).collect(),
        areas: areas(&report.checks),
    };
    page.render().expect("writing to memory does not fail")
}

impl Page<'_> {
    /// What ended badly, for the list at the top.
    fn troubles(&self) -> impl Iterator<Item = &Check<'_>> {
        let checks = || self.areas.iter().flat_map(|area| &area.checks);
        Ending::ALL
            .into_iter()
            .filter(|ending| ending.is_trouble())
            .flat_map(move |ending| checks().filter(move |check| check.ending == ending))
    }
}

impl<'a> Profile<'a> {
    fn new(profile: &'a ProfileResult) -> Self {
        let total = view::total(&profile.counts);
        let parts = [Ending::Passed, Ending::Warned, Ending::Failed, Ending::Error, Ending::Skipped]
            .into_iter()
            .map(|ending| (ending, ending.count(&profile.counts)))
            .filter(|(_, n)| *n > 0)
            .map(|(ending, n)| (ending, n, 100.0 * n as f64 / total as f64))
            .collect();
        Self {
            name: &profile.name,
            verdict: view::word(profile.verdict),
            passed: profile.counts.passed,
            total,
            parts,
        }
    }
}

impl<'a> Check<'a> {
    fn new(check: &'a CheckResult) -> Self {
        Self {
            check,
            ending: Ending::of(check),
            reason: reason(check),
            evidence: check.evidence.as_ref().map(parts).unwrap_or_default(),
        }
    }

    /// The name of its place in the page.
    fn anchor(&self) -> String {
        self.check.id.replace('/', ":")
    }

    fn level(&self) -> &'static str {
        view::level(self.check.level)
    }

    fn duration(&self) -> String {
        duration(self.check.seconds)
    }
}

fn parts(evidence: &Evidence) -> Vec<Part<'_>> {
    let mut parts = vec![
        Part { name: "expected", text: &evidence.expected },
        Part { name: "actual", text: &evidence.actual },
    ];
    let more = [("request", &evidence.request), ("response", &evidence.response), ("log", &evidence.log)];
    parts.extend(more.into_iter().filter_map(|(name, text)| Some(Part { name, text: text.as_deref()? })));
    parts
}

fn areas(checks: &[CheckResult]) -> Vec<Area<'_>> {
    let mut areas: Vec<Area<'_>> = Vec::new();
    for check in checks {
        let name = area(check);
        if areas.last().is_none_or(|area| area.name != name) {
            areas.push(Area { name, note: String::new(), checks: Vec::new() });
        }
        areas.last_mut().expect("one was just added").checks.push(Check::new(check));
    }
    for area in &mut areas {
        let ended = |ending: Ending| area.checks.iter().filter(|check| check.ending == ending).count();
        let notes = Ending::ALL.map(|ending| (ended(ending), ending));
        let notes =
            notes.iter().filter(|(n, _)| *n > 0).map(|(n, ending)| format!("{n} {}", ending.word_for(n)));
        area.note = notes.collect::<Vec<_>>().join(" · ");
    }
    areas
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let target = &report.target;
    let environment = target.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let facts = [
        (view::kind(target), Some(target.address.clone())),
        ("digest", target.digest.clone()),
        ("language of the fixtures", target.language.clone()),
        ("environment", (!target.environment.is_empty()).then(|| environment.collect::<Vec<_>>().join(" "))),
        ("run", Some(format!("{}, {}", report.started.replace('T', " "), duration(report.seconds)))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, one_line(&value?)))).collect()
}
