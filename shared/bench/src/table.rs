//! Reports as Markdown.

use std::fmt::Write as _;

use super::{
    metric,
    result::{ContenderInfo, Finding, GroupInfo, Report},
    stats::Spread,
};

/// Where workloads of this kind are shown beside each other; the others have tables of their own.
const LOAD_METRIC: &str = metric::RATE;

/// One column of a workload's own table.
struct Column {
    title: &'static str,
    metric: &'static str,
    /// Whether a sum says more than a median, as of errors.
    sum: bool,
}

const fn column(title: &'static str, metric: &'static str) -> Column {
    Column { title, metric, sum: false }
}

const fn sum(title: &'static str, metric: &'static str) -> Column {
    Column { title, metric, sum: true }
}

/// All that can be in a workload's own table. Columns that nobody has a sample for are left out.
const COLUMNS: [Column; 22] = [
    column("requests/s", metric::RATE),
    column("p50 ms", metric::P50),
    column("p90 ms", metric::P90),
    column("p99 ms", metric::P99),
    column("p99.9 ms", metric::P999),
    column("of the rate", metric::KEPT_UP),
    column("CPU s/1000", metric::CPU),
    column("peak RSS MiB", metric::PEAK_RSS),
    column("cold start ms", metric::COLD_START),
    column("idle MiB", metric::IDLE_MEMORY),
    column("used MiB", metric::USED_MEMORY),
    column("alone p50 ms", metric::ALONE_P50),
    column("alone p99 ms", metric::ALONE_P99),
    column("storm p50 ms", metric::STORM_P50),
    column("storm p99 ms", metric::STORM_P99),
    sum("failed", metric::FAILED),
    sum("answered", metric::ANSWERED),
    column("calls", metric::CALLS),
    sum("lost", metric::LOST),
    column("answered after SIGTERM", metric::ANSWERED_LATE),
    column("end ms", metric::END),
    sum("errors", metric::ERRORS),
];

/// Everything of a report.
pub fn all(report: &Report) -> String {
    let mut text = format!("# Results of {}\n\n{}\n{}", day(report), setting(report), versions(report));
    text.push_str(
        "\nMedians, with the least and the most of all rounds in parentheses where there are several.\n",
    );
    for workload in &report.workloads {
        for group in &report.groups {
            if let Some(table) = own_table(report, group, &workload.name) {
                let _ = write!(text, "\n## {}, {}\n\n{table}", workload.title, group.title);
            }
        }
    }
    text
}

/// What the README shows: how many requests, as ratios, and what else tells servers apart.
pub fn readme(report: &Report) -> String {
    let mut text = setting(report);
    for group in &report.groups {
        if let Some(table) = ratios(report, group) {
            let reference = title_of(report, &group.reference);
            let _ = write!(
                text,
                "\n**{}**, requests per second relative to {reference}:\n\n{table}",
                group.title
            );
        }
    }
    text.push_str("\nBeyond requests per second:\n\n");
    text.push_str(&beyond(report));
    let _ = write!(text, "\n{}", versions(report));
    text
}

fn day(report: &Report) -> &str {
    report.started.get(..10).unwrap_or(&report.started)
}

/// What a system does by itself takes less of a processor than this.
const QUIET: f64 = 0.15;

/// When, on what, and how long.
fn setting(report: &Report) -> String {
    let machine = &report.machine;
    let kind = if machine.virtual_machine { "a virtual machine" } else { "a machine" };
    let run = if report.quick { "A short run" } else { "A run" };
    let busy = match machine.busy_before {
        busy if busy > QUIET => {
            format!(" **The machine was busy with other things ({busy:.1} processors).**")
        }
        _ => String::new(),
    };
    format!(
        "{run} of {:.0} min on {}, commit `{}`, on {kind} with {} processors ({}), {:.0} GiB, {}, Linux {}.{busy}\n",
        (report.seconds / 60.0).ceil(),
        day(report),
        report.revision,
        machine.cpus,
        machine.cpu,
        machine.memory_mib as f64 / 1024.0,
        machine.system,
        machine.kernel,
    )
}

fn versions(report: &Report) -> String {
    let contenders = report.contenders.iter().map(|contender| &contender.version).filter(|v| !v.is_empty());
    let mut versions: Vec<&String> = contenders.chain(report.tools.values()).collect();
    versions.sort_unstable();
    versions.dedup();
    let versions: Vec<String> = versions.into_iter().map(|version| cell(version)).collect();
    format!("Versions: {}.\n", versions.join("; "))
}

fn title_of<'a>(report: &'a Report, contender: &'a str) -> &'a str {
    report.contenders.iter().find(|info| info.name == contender).map_or(contender, |info| &info.title)
}

fn of_group<'a>(report: &'a Report, group: &GroupInfo) -> impl Iterator<Item = &'a ContenderInfo> {
    let group = group.name.clone();
    report.contenders.iter().filter(move |contender| contender.group == group)
}

/// A contender's name, ours so that it is seen at once.
fn name(contender: &ContenderInfo) -> String {
    if contender.ours { format!("**{}**", cell(&contender.title)) } else { cell(&contender.title) }
}

/// Contenders by workloads, as ratios of the group's reference.
fn ratios(report: &Report, group: &GroupInfo) -> Option<String> {
    let loads: Vec<_> = report
        .workloads
        .iter()
        .filter(|workload| {
            of_group(report, group).any(|c| !report.samples(&c.name, &workload.name, LOAD_METRIC).is_empty())
        })
        .collect();
    let (first, _) = loads.split_first()?;
    let mut text = format!("| | {}, requests/s |", first.title);
    for load in &loads {
        let _ = write!(text, " {} |", load.title);
    }
    let _ = writeln!(text, "\n|---|--:|{}", "--:|".repeat(loads.len()));
    for contender in of_group(report, group) {
        let finding = |load: &str| report.finding(&contender.name, load);
        if loads.iter().all(|load| finding(&load.name).is_none()) {
            continue;
        }
        let rate = report.spread(&contender.name, &first.name, LOAD_METRIC);
        let rate = rate.map_or_else(String::new, |rate| thousands(rate.median));
        let _ = write!(text, "| {} | {rate} |", name(contender));
        for (number, load) in loads.iter().enumerate() {
            let shown = match (report.ratio(contender, &load.name, LOAD_METRIC), finding(&load.name)) {
                (Some(ratio), _) if number == 0 => with_spread(ratio),
                (Some(ratio), _) => figure(ratio.median),
                (None, finding) => absent(finding),
            };
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }
    Some(text)
}

/// What a cell without a number says.
fn absent(finding: Option<&Finding>) -> String {
    match finding {
        Some(Finding::Failed(_)) => "failed".to_owned(),
        Some(Finding::Samples(_)) => "?".to_owned(),
        Some(Finding::NotApplicable(_)) | None => "–".to_owned(),
    }
}

/// Cold starts, memory, faults.
fn beyond(report: &Report) -> String {
    let mut text = String::from(
        "| | cold start, ms | idle, MiB | after calls, MiB | storm: p99 alone, ms | beside it, ms | failed | \
         lost at SIGTERM | answered beside slow clients |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for contender in &report.contenders {
        let show = |workload: &str, metric: &str, format: fn(Spread) -> String| {
            let spread = report.spread(&contender.name, workload, metric);
            spread.map_or_else(|| absent(report.finding(&contender.name, workload)), format)
        };
        let total =
            |workload: &str, metric: &str| report.samples(&contender.name, workload, metric).iter().sum();
        let of = |workload: &str, part: &str| match report.finding(&contender.name, workload) {
            Some(Finding::Samples(samples)) => {
                format!(
                    "{} of {}",
                    whole(total(workload, part)),
                    whole(samples.of(metric::CALLS).iter().sum())
                )
            }
            finding => absent(finding),
        };
        let lost = match report.finding(&contender.name, "sigterm") {
            Some(Finding::Samples(_)) => whole(total("sigterm", metric::LOST)),
            finding => absent(finding),
        };
        let cells = [
            show("cold-start", metric::COLD_START, with_spread),
            show("memory", metric::IDLE_MEMORY, |spread| figure(spread.median)),
            show("memory", metric::USED_MEMORY, |spread| figure(spread.median)),
            show("storm", metric::ALONE_P99, |spread| figure(spread.median)),
            show("storm", metric::STORM_P99, |spread| figure(spread.median)),
            of("storm", metric::FAILED),
            lost,
            of("slow-clients", metric::ANSWERED),
        ];
        if cells.iter().any(|cell| cell != "–") {
            let _ = writeln!(text, "| {} | {} |", name(contender), cells.join(" | "));
        }
    }
    text
}

/// One workload with one group, with all that was measured; nothing if they did not meet.
fn own_table(report: &Report, group: &GroupInfo, workload: &str) -> Option<String> {
    let contenders: Vec<_> =
        of_group(report, group).filter(|c| report.finding(&c.name, workload).is_some()).collect();
    if contenders.is_empty() {
        return None;
    }
    let samples = |contender: &ContenderInfo, column: &Column| {
        report.samples(&contender.name, workload, column.metric).to_vec()
    };
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| contenders.iter().any(|contender| !samples(contender, column).is_empty()))
        .collect();
    let compared = columns.iter().any(|column| column.metric == LOAD_METRIC);
    let mut text = String::from("| |");
    let mut titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    if compared {
        titles.insert(1, "ratio");
    }
    if titles.is_empty() {
        titles.push("why not");
    }
    let _ = writeln!(text, " {} |\n|---|{}", titles.join(" | "), "--:|".repeat(titles.len()));
    for contender in contenders {
        let why = match report.finding(&contender.name, workload) {
            Some(Finding::NotApplicable(reason)) => Some(format!("not applicable: {reason}")),
            Some(Finding::Failed(error)) => Some(format!("failed: {error}")),
            _ => None,
        };
        if let Some(why) = why {
            let _ =
                writeln!(text, "| {} | {} |{}", name(contender), cell(&why), " |".repeat(titles.len() - 1));
            continue;
        }
        let mut cells: Vec<String> =
            columns.iter().map(|column| shown(&samples(contender, column), column.sum)).collect();
        if compared {
            let ratio = report.ratio(contender, workload, LOAD_METRIC);
            cells.insert(1, ratio.map_or_else(String::new, with_spread));
        }
        let _ = writeln!(text, "| {} | {} |", name(contender), cells.join(" | "));
    }
    Some(text)
}

fn shown(samples: &[f64], sum: bool) -> String {
    match super::stats::spread(samples) {
        None => String::new(),
        Some(_) if sum => whole(samples.iter().sum()),
        Some(spread) => with_spread(spread),
    }
}

/// `1.13 (1.10–1.15)`, or the number alone where there is no spread.
fn with_spread(Spread { median, least, most }: Spread) -> String {
    if least == most {
        return figure(median);
    }
    format!("{} ({}–{})", figure(median), figure(least), figure(most))
}

/// A number with about three digits.
pub(super) fn figure(number: f64) -> String {
    match number.abs() {
        n if n >= 1000.0 => thousands(number),
        n if n >= 100.0 => whole(number),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 0.095 || n == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// A whole number, its digits in groups of three.
fn thousands(number: f64) -> String {
    let digits = whole(number);
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text that cannot end its cell, or the line.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Outcome, Samples};

    #[test]
    fn figures_have_about_three_digits() {
        let figures = [66_123.4, 1_000_000.0, 999.4, 45.67, 1.134, 0.25, 0.01234, 0.0].map(figure);
        assert_eq!(figures, ["66,123", "1,000,000", "999", "45.7", "1.13", "0.25", "0.0123", "0.00"]);
    }

    fn report() -> Report {
        let contender = |name: &str, ours| ContenderInfo {
            name: name.to_owned(),
            title: format!("the {name}"),
            group: "g".to_owned(),
            ours,
            version: "a|b 1".to_owned(),
        };
        let text = r#"{"schema": 2, "started": "2026-11-21T10:00:00Z", "seconds": 61, "quick": true,
            "machine": {"cpu": "CPU", "cpus": 2, "memory_mib": 2048, "system": "Debian", "kernel": "6",
                "virtual_machine": true, "busy_before": 0.01},
            "revision": "abc", "tools": {"wrk": "wrk 4"},
            "groups": [{"name": "g", "title": "G", "reference": "other"}], "contenders": [],
            "workloads": [{"name": "hello", "title": "Hello", "connections": 1, "rate": 1, "rounds": 2, "seconds": 1}],
            "results": []}"#;
        let mut report = Report::parse(text).expect("a report");
        report.contenders =
            vec![contender("host", true), contender("other", false), contender("none", false)];
        let mut add = |contender: &str, finding| {
            let (contender, workload) = (contender.to_owned(), "hello".to_owned());
            report.results.push(Outcome { contender, workload, finding });
        };
        for (name, rates) in [("host", [3000.0, 2000.0]), ("other", [1500.0, 1000.0])] {
            let mut samples = Samples::default();
            rates.into_iter().for_each(|rate| samples.add(metric::RATE, rate));
            samples.add(metric::ERRORS, 0.0);
            add(name, Finding::Samples(samples));
        }
        add("none", Finding::NotApplicable("no | reason".to_owned()));
        report
    }

    #[test]
    fn ratios_are_to_the_reference_and_a_missing_number_is_none() {
        let table = ratios(&report(), &report().groups[0]).expect("a table");
        assert_eq!(
            table,
            "| | Hello, requests/s | Hello |\n|---|--:|--:|\n| **the host** | 2,500 | 2.00 |\n\
             | the other | 1,250 | 1.00 |\n| the none |  | – |\n"
        );
    }

    #[test]
    fn a_reason_cannot_break_its_row() {
        let text = all(&report());
        assert!(text.contains("| the none | not applicable: no \\| reason | | |\n"), "{text}");
        assert!(text.contains("| **the host** | 2,500 (2,000–3,000) | 2.00 | 0 |\n"), "{text}");
    }

    #[test]
    fn a_workload_that_nobody_has_says_why() {
        let mut report = report();
        report.results.retain(|outcome| outcome.contender == "none");
        let text = all(&report);
        assert!(
            text.contains("| | why not |\n|---|--:|\n| the none | not applicable: no \\| reason |\n"),
            "{text}"
        );
    }

    #[test]
    fn a_short_run_and_a_busy_machine_are_told() {
        let mut report = report();
        assert!(readme(&report).starts_with("A short run of 2 min on 2026-11-21, commit `abc`"));
        assert!(!readme(&report).contains("busy"));
        report.machine.busy_before = 1.5;
        assert!(readme(&report).contains("busy with other things (1.5 processors)"));
    }
}
