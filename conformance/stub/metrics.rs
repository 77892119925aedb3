//! `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use crate::broken;

const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<String, Series>>);

#[derive(Default)]
struct Series {
    calls: u32,
    failures: u32,
    sum: f64,
    observed: u32,
    buckets: [u32; 11],
}

impl Metrics {
    pub(crate) fn count(&self, method: &str, failed: bool, seconds: f64) {
        let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method);
        let label =
            if usual || broken("metrics.7/unheard-of-methods-share-a-label") { method } else { "other" };
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let series = all.entry(label.to_owned()).or_default();
        let seconds = if broken("metrics.4/duration-is-observed") { 0.0 } else { seconds };
        let bucket = if broken("metrics.4/slow-call-is-in-no-small-bucket") { 0.0 } else { seconds };
        series.calls += u32::from(!(failed && broken("metrics.3/failure-is-a-call")));
        series.failures += u32::from(
            failed && !broken("metrics.3/failure-is-counted") || broken("metrics.3/success-is-no-failure"),
        );
        series.sum += seconds;
        series.observed += 1;
        for (slot, bound) in series.buckets.iter_mut().zip(BOUNDS) {
            *slot += u32::from(bucket <= bound);
        }
    }

    pub(crate) fn text(&self) -> String {
        if broken("metrics.1/are-served") {
            return "this is no metric".to_owned();
        }
        let all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = String::new();
        let describe = |text: &mut String, name: &str, kind: &str| {
            if !broken("metrics.1/families-are-described") {
                let _ = writeln!(text, "# HELP {name} of the function\n# TYPE {name} {kind}");
            }
        };
        if broken("metrics.6/nothing-before-the-first-call") {
            text += "function_calls_total{method=\"GET\"} 0\n";
        }
        describe(&mut text, "function_calls_total", "counter");
        for (method, series) in all.iter() {
            let _ = writeln!(text, "function_calls_total{{method=\"{method}\"}} {}", series.calls);
        }
        describe(&mut text, "function_failures_total", "counter");
        for (method, series) in all.iter() {
            let _ = writeln!(text, "function_failures_total{{method=\"{method}\"}} {}", series.failures);
        }
        describe(&mut text, "function_duration_seconds", "histogram");
        let name = "function_duration_seconds";
        for (method, series) in all.iter() {
            for (count, bound) in series.buckets.iter().zip(BOUNDS) {
                if !broken("metrics.4/buckets-are-prometheus-own") || bound > 1.0 {
                    let _ = writeln!(text, "{name}_bucket{{method=\"{method}\",le=\"{bound}\"}} {count}");
                }
            }
            let last = series.observed + u32::from(broken("metrics.4/last-bucket-has-all"));
            let _ = writeln!(text, "{name}_bucket{{method=\"{method}\",le=\"+Inf\"}} {last}");
            let _ = writeln!(text, "{name}_sum{{method=\"{method}\"}} {}", series.sum);
            let _ = writeln!(text, "{name}_count{{method=\"{method}\"}} {}", series.observed);
        }
        text
    }
}
