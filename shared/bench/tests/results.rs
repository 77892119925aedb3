//! What is shown of the last benchmark is what was measured.

use std::{fs, path::PathBuf};

use bench::{plot::PLOTS, result::Report, table};

fn results() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results")
}

fn stored(file: &str) -> String {
    fs::read_to_string(results().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

const REMEDY: &str = "run `bench draw shared/bench/results/latest.json shared/bench/results`";

#[test]
fn tables_and_plots_are_made_of_the_last_report() {
    let report = Report::load(&results().join("latest.json")).unwrap();
    assert_eq!(table::all(&report), stored("latest.md"), "latest.md is out of date; {REMEDY}");
    for plot in PLOTS {
        assert_eq!(plot.draw(&report), stored(plot.file), "{} is out of date; {REMEDY}", plot.file);
    }
}

/// A report without a load has neither a ratio nor a bar, and every reader is told so.
#[test]
fn a_report_without_samples_can_be_shown() {
    let mut report = Report::load(&results().join("latest.json")).unwrap();
    report.results.clear();
    assert!(!table::all(&report).contains("## "));
    for plot in PLOTS {
        assert!(plot.draw(&report).contains("This was not measured."), "{}", plot.file);
    }
}
