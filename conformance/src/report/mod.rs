//! What a run leaves behind: the same data in the forms that people and programs read.

use crate::result::Report;

/// The report itself, as JSON.
pub fn json(report: &Report) -> String {
    // Strings, numbers and lists: nothing in it can fail.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}
