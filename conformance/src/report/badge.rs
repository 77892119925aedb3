//! A sign to put on a page. It is one file and loads nothing, no font either.

use serde::Serialize;

use super::{template, view};
use crate::result::{Report, Verdict};

#[derive(Serialize)]
struct Badge {
    left: &'static str,
    right: String,
    colour: &'static str,
    left_width: usize,
    right_width: usize,
}

/// An SVG of 20 pixels' height that says the verdict, and how many of the run's checks passed.
pub fn badge(report: &Report) -> String {
    let counts = view::counts(report);
    let left = "conformance";
    let right = format!("{} {}/{}", view::word(report.verdict), counts.passed, view::total(&counts));
    let badge = Badge {
        left,
        colour: match report.verdict {
            Verdict::Conformant => "#1a7f37",
            Verdict::Partial => "#9a6700",
            Verdict::NonConformant => "#cf222e",
            Verdict::Error => "#57606a",
        },
        left_width: width(left),
        right_width: width(&right),
        right,
    };
    template::render("badge.svg", badge)
}

/// Room for a text at 11 pixels with 6 beside it on each side. The text is stretched to fit, so that every font does.
fn width(text: &str) -> usize {
    let tenths: usize = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | '.' => 31,
            'f' | 't' | 'r' | '/' | ' ' | '-' => 43,
            'm' | 'w' => 102,
            _ => 68,
        })
        .sum();
    tenths.div_ceil(10) + 12
}
