//! Reports as files, and what is made of them later.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ERROR, OK, USAGE, complain, say};
use crate::report;
use crate::result::{Report, SCHEMA};

/// How a report is written.
type Form = fn(&Report) -> String;

/// Where a run's reports go.
#[derive(Args, Debug)]
pub(super) struct Reports {
    /// Where the report goes as JSON, schema/report-v1.json: all others can be made from it later
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where it goes as JUnit XML, for CI systems
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where it goes as one HTML file, for people
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where it goes as Markdown, for the summary of a job
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Where the badge goes, an SVG
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
}

impl Reports {
    /// Writes those that were asked for, all that can be.
    pub(super) fn write(&self, report: &Report) -> Result<(), String> {
        let forms: [(&Option<PathBuf>, Form); 5] = [
            (&self.json, report::json),
            (&self.junit, report::junit),
            (&self.html, report::html),
            (&self.markdown, report::markdown::summary),
            (&self.badge, report::badge),
        ];
        let mut problems = Vec::new();
        for (path, form) in forms {
            if let Some(path) = path
                && let Err(problem) = std::fs::write(path, form(report))
            {
                problems.push(format!("{}: {problem}", path.display()));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}

/// `report`: other forms of a report that is there as JSON.
pub(super) fn convert(file: &Path, reports: &Reports) -> u8 {
    let report = match read(file) {
        Ok(report) => report,
        Err(problem) => {
            complain(problem);
            return USAGE;
        }
    };
    match reports.write(&report) {
        Ok(()) => OK,
        Err(problem) => {
            complain(problem);
            ERROR
        }
    }
}

/// `table`: a table of several reports.
pub(super) fn table(files: &[PathBuf]) -> u8 {
    match files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>() {
        Ok(reports) => {
            say(report::table(&reports).trim_end());
            OK
        }
        Err(problem) => {
            complain(problem);
            USAGE
        }
    }
}

fn read(file: &Path) -> Result<Report, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|problem| format!("{name}: {problem}"))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|problem| format!("{name}: it is no report as --json writes it: {problem}"))?;
    match report.schema {
        SCHEMA => Ok(report),
        other => Err(format!("{name}: its schema is {other}; allowed: {SCHEMA}")),
    }
}
