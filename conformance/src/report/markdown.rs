//! Markdown: a table of several runs for a README, and one run for the page that a CI system shows about a job.

use std::fmt::Write;

use super::text::{duration, harmless, one_line};
use super::view::{self, Ending, plural, reason, title, total};
use crate::result::{CheckResult, Counts, Report};

/// A row for each report, in their order: the host, how it was isolated, the verdict, and for each profile how many of
/// its checks passed. A profile that a host does not claim is a dash; so is an isolation that was not chosen. The column
/// for isolation is left out where nobody chose one.
pub fn table(reports: &[Report]) -> String {
    let reports: Vec<Report> = reports.iter().map(harmless).collect();
    let mut profiles: Vec<&str> = Vec::new();
    for profile in reports.iter().flat_map(|report| &report.profiles) {
        if !profiles.contains(&profile.name.as_str()) {
            profiles.push(&profile.name);
        }
    }
    // The core comes first; capabilities have no order of their own.
    profiles.sort_by_key(|name| (*name != "core", *name));
    let isolated = reports.iter().any(|report| isolation(report).is_some());

    let mut head = vec!["host".to_owned()];
    head.extend(isolated.then(|| "isolation".to_owned()));
    head.push("verdict".to_owned());
    head.extend(profiles.iter().map(|name| cell(name)));
    let mut table = row(&head);
    table += &row(&vec!["---".to_owned(); head.len()]);
    for report in &reports {
        let mut cells = vec![cell(&title(&report.target))];
        cells.extend(isolated.then(|| cell(isolation(report).unwrap_or("–"))));
        cells.push(view::word(report.verdict).to_owned());
        cells.extend(profiles.iter().map(|name| match view::profile(report, name) {
            Some(profile) => passed(&profile.counts),
            None => "–".to_owned(),
        }));
        table += &row(&cells);
    }
    table
}

/// One run: verdict, profiles, and what to look at, each with what was expected and what came.
pub fn summary(report: &Report) -> String {
    let report = &harmless(report);
    let verdict = view::word(report.verdict);
    let mut text =
        format!("### {}: {verdict}\n\n{}\n\n", cell(&title(&report.target)), view::sentence(report));
    let head = ["profile", "verdict", "passed", "failed", "warnings", "skipped", "errors"];
    text += &row(&head.map(str::to_owned));
    text += &row(&head.map(|_| "---".to_owned()));
    for profile in &report.profiles {
        let mut cells =
            vec![cell(&profile.name), view::word(profile.verdict).to_owned(), passed(&profile.counts)];
        let rest = [Ending::Failed, Ending::Warned, Ending::Skipped, Ending::Error];
        cells.extend(rest.map(|ending| ending.count(&profile.counts).to_string()));
        text += &row(&cells);
    }
    for ending in Ending::ALL.into_iter().filter(|ending| ending.is_trouble()) {
        for check in report.checks.iter().filter(|check| Ending::of(check) == ending) {
            text += &trouble(check, ending);
        }
    }
    let _ = writeln!(
        text,
        "\n{} in {} by {} {}, contract {}.",
        plural(report.checks.len(), "check", "checks"),
        duration(report.seconds),
        report.suite.name,
        report.suite.version,
        cell(&report.suite.contract),
    );
    text
}

fn trouble(check: &CheckResult, ending: Ending) -> String {
    let mut text = format!(
        "\n<details><summary>{}: <code>{}</code> {}</summary>\n\n{} ({}): {}\n",
        ending.word(),
        cell(&check.id),
        cell(&check.summary),
        cell(&check.requirement),
        view::level(check.level),
        cell(&check.text),
    );
    if let Some(reason) = reason(check) {
        text += &fenced("reason", reason);
    }
    if let Some(evidence) = &check.evidence {
        text += &fenced("expected", &evidence.expected);
        text += &fenced("actual", &evidence.actual);
    }
    text + "\n</details>\n"
}

/// A block of text as it is. Its fence is longer than any in the text, so nothing in there can end it.
fn fenced(name: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n{name}:\n\n{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Text that means nothing to Markdown and stays in its cell.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => cell.push_str("&amp;"),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}

fn passed(counts: &Counts) -> String {
    format!("{}/{}", counts.passed, total(counts))
}

fn isolation(report: &Report) -> Option<&str> {
    report
        .target
        .environment
        .iter()
        .find(|(name, _)| name == "FUNC_ISOLATION")
        .map(|(_, value)| value.as_str())
}
