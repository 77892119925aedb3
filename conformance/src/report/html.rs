//! The page: one file that loads nothing and runs nothing. What is folded and filtered needs no script, so the page
//! forbids scripts, and whatever a target has logged stays text.

use serde::Serialize;

use super::template;
use super::text::{duration, harmless, one_line};
use super::view::{self, Ending, area, reason};
use crate::result::{CheckResult, Evidence, ProfileResult, Report};

#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    title: String,
    verdict: &'static str,
    sentence: String,
    facts: Vec<(&'static str, String)>,
    command: String,
    claims: Vec<String>,
    endings: Vec<Share>,
    profiles: Vec<Profile<'a>>,
    areas: Vec<Area<'a>>,
    /// What ended badly, for the list at the top: the worst first.
    troubles: Vec<Check<'a>>,
}

/// Those of some checks that ended in one way.
#[derive(Serialize)]
struct Share {
    class: &'static str,
    words: &'static str,
    number: usize,
    percent: f64,
}

#[derive(Serialize)]
struct Profile<'a> {
    name: &'a str,
    verdict: &'static str,
    passed: usize,
    total: usize,
    /// The parts of its bar.
    parts: Vec<Share>,
}

#[derive(Serialize)]
struct Area<'a> {
    name: &'a str,
    note: String,
    checks: Vec<Check<'a>>,
}

#[derive(Clone, Serialize)]
struct Check<'a> {
    check: &'a CheckResult,
    /// The name of its place in the page.
    anchor: String,
    ending: Ending,
    level: &'static str,
    duration: Option<String>,
    reason: Option<&'a str>,
    evidence: Vec<Part<'a>>,
}

/// A piece of evidence.
#[derive(Clone, Serialize)]
struct Part<'a> {
    name: &'static str,
    text: &'a str,
}

/// The report as one HTML file.
pub fn html(report: &Report) -> String {
    let report = &harmless(report);
    let counts = view::counts(report);
    let areas = areas(&report.checks);
    let page = Page {
        report,
        title: one_line(&view::title(&report.target)),
        verdict: view::word(report.verdict),
        sentence: view::sentence(report),
        facts: facts(report),
        command: one_line(&report.command.join(" ")),
        claims: report.claims.capabilities.iter().map(|name| one_line(name)).collect(),
        endings: shares(Ending::ALL, report.checks.len(), |ending| ending.count(&counts)),
        profiles: report.profiles.iter().map(Profile::new).collect(),
        troubles: troubles(&areas),
        areas,
    };
    template::render("report.html", page)
}

fn troubles<'a>(areas: &[Area<'a>]) -> Vec<Check<'a>> {
    let checks = || areas.iter().flat_map(|area| &area.checks);
    let bad = Ending::ALL.into_iter().filter(|ending| ending.is_trouble());
    bad.flat_map(|ending| checks().filter(move |check| check.ending == ending)).cloned().collect()
}

/// Those of `endings` that there are.
fn shares(
    endings: impl IntoIterator<Item = Ending>,
    total: usize,
    count: impl Fn(Ending) -> usize,
) -> Vec<Share> {
    let shares = endings.into_iter().map(|ending| (ending, count(ending))).filter(|(_, number)| *number > 0);
    let share = |(ending, number): (Ending, usize)| Share {
        class: ending.class(),
        words: ending.word_for(number),
        number,
        percent: 100.0 * number as f64 / total as f64,
    };
    shares.map(share).collect()
}

impl<'a> Profile<'a> {
    fn new(profile: &'a ProfileResult) -> Self {
        let total = view::total(&profile.counts);
        let endings = [Ending::Passed, Ending::Warned, Ending::Failed, Ending::Error, Ending::Skipped];
        let parts = shares(endings, total, |ending| ending.count(&profile.counts));
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
            anchor: check.id.replace('/', ":"),
            ending: Ending::of(check),
            level: view::level(check.level),
            duration: (check.seconds > 0.0).then(|| duration(check.seconds)),
            reason: reason(check),
            evidence: check.evidence.as_ref().map(parts).unwrap_or_default(),
        }
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
        let notes = shares(Ending::ALL, area.checks.len(), ended);
        let notes: Vec<_> = notes.iter().map(|share| format!("{} {}", share.number, share.words)).collect();
        area.note = notes.join(" · ");
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
