//! What was measured, as it was measured: every sample, with the machine and the versions beside it.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use super::stats::{self, Spread};

/// The form of a stored report. It changes when a reader of an older one would misread it.
pub const SCHEMA: u32 = 2;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`] when it was written.
    pub schema: u32,
    /// When the run began, in UTC, as RFC 3339 has it.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether it was a short run.
    pub quick: bool,
    /// What it ran on.
    pub machine: Machine,
    /// The commit that was measured; it ends in `-dirty` when there were changes.
    pub revision: String,
    /// Versions of what made the load.
    pub tools: BTreeMap<String, String>,
    /// In the order in which they are shown.
    pub groups: Vec<GroupInfo>,
    /// In the order in which they are shown.
    pub contenders: Vec<ContenderInfo>,
    /// In the order in which they were measured.
    pub workloads: Vec<WorkloadInfo>,
    /// One for each contender and workload.
    pub results: Vec<Outcome>,
}

/// A computer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many processors there are.
    pub cpus: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The distribution.
    pub system: String,
    /// The kernel's version.
    pub kernel: String,
    /// Whether it is a virtual one.
    pub virtual_machine: bool,
    /// Processors that others used right before the run.
    pub busy_before: f64,
}

/// A group as a report's reader needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupInfo {
    /// Unique.
    pub name: String,
    /// For readers.
    pub title: String,
    /// The contender that the others are shown as ratios of.
    pub reference: String,
}

/// A contender as a report's reader needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContenderInfo {
    /// Unique.
    pub name: String,
    /// For readers.
    pub title: String,
    /// Its group.
    pub group: String,
    /// Whether it is of this project.
    pub ours: bool,
    /// What it says of its version.
    pub version: String,
}

/// A workload as a report's reader needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadInfo {
    /// Unique.
    pub name: String,
    /// For readers.
    pub title: String,
    /// Connections at once.
    pub connections: usize,
    /// The rate that latencies were measured at, per second.
    pub rate: u32,
    /// How often each contender had its turn.
    pub rounds: usize,
    /// How long a turn took.
    pub seconds: f64,
}

/// What became of a contender with a workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The contender's name.
    pub contender: String,
    /// The workload's name.
    pub workload: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Samples by the names of [`super::metric`], in the order of the rounds.
    Samples(Samples),
    /// The contender cannot have this workload, for this reason.
    NotApplicable(String),
    /// The contender failed, so there is no number.
    Failed(String),
}

/// Samples by the names of [`super::metric`], in the order of the rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(BTreeMap<String, Vec<f64>>);

impl Samples {
    /// Adds one; what is not a number is no sample.
    pub fn add(&mut self, metric: &str, sample: f64) {
        if sample.is_finite() {
            // Six digits are more than any of the clocks and counters has.
            let rounded = format!("{sample:.5e}").parse().unwrap_or(sample);
            self.0.entry(metric.to_owned()).or_default().push(rounded);
        }
    }

    /// In the order of the rounds; empty when there are none.
    pub fn of(&self, metric: &str) -> &[f64] {
        self.0.get(metric).map_or(&[], Vec::as_slice)
    }
}

impl Report {
    /// Reads a stored report.
    pub fn load(file: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Reads a report's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let Versioned { schema } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if schema != SCHEMA {
            return Err(format!("its schema is {schema}; allowed: {SCHEMA}"));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What became of a contender with a workload; nothing if they did not meet in this run.
    pub fn finding(&self, contender: &str, workload: &str) -> Option<&Finding> {
        let of = |outcome: &&Outcome| outcome.contender == contender && outcome.workload == workload;
        self.results.iter().find(of).map(|outcome| &outcome.finding)
    }

    /// Samples of a contender; empty when there are none.
    pub fn samples(&self, contender: &str, workload: &str, metric: &str) -> &[f64] {
        match self.finding(contender, workload) {
            Some(Finding::Samples(samples)) => samples.of(metric),
            _ => &[],
        }
    }

    /// A contender's median and spread.
    pub fn spread(&self, contender: &str, workload: &str, metric: &str) -> Option<Spread> {
        stats::spread(self.samples(contender, workload, metric))
    }

    /// A contender's ratio to its group's reference, round by round.
    pub fn ratio(&self, contender: &ContenderInfo, workload: &str, metric: &str) -> Option<Spread> {
        let group = self.groups.iter().find(|group| group.name == contender.group)?;
        let reference = self.samples(&group.reference, workload, metric);
        stats::ratios(self.samples(&contender.name, workload, metric), reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_schema_is_not_read() {
        let error = Report::parse(r#"{"schema": 7, "anything": 1}"#).expect_err("an error");
        assert_eq!(error, "its schema is 7; allowed: 2");
    }

    #[test]
    fn findings_are_stored_under_their_names() {
        let mut samples = Samples::default();
        samples.add("errors", 1.0 / 3.0);
        samples.add("errors", f64::NAN);
        let outcome = Outcome {
            contender: "a".to_owned(),
            workload: "b".to_owned(),
            finding: Finding::Samples(samples),
        };
        let text = serde_json::to_string(&outcome).expect("JSON");
        assert_eq!(text, r#"{"contender":"a","workload":"b","samples":{"errors":[0.333333]}}"#);
    }
}
