//! The report itself. Its schema is `schema/report-v1.json`.

use crate::result::Report;

/// The report as indented JSON, with a newline at its end. The same report is always the same text.
pub fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report has no keys but text, and no values JSON lacks");
    text.push('\n');
    text
}
