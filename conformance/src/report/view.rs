//! What several reports say about a run, in one place so that they all say the same.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::result::{CheckResult, Counts, Level, Outcome, ProfileResult, Report, Target, Verdict};

/// How a check ended, as a reader sorts it: [`Outcome`], with the failures that break the contract apart from those
/// that only warn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Failed,
    Error,
    Warned,
    Skipped,
    NotClaimed,
    Passed,
}

impl Ending {
    /// The worst first.
    pub(super) const ALL: [Self; 6] =
        [Self::Failed, Self::Error, Self::Warned, Self::Skipped, Self::NotClaimed, Self::Passed];

    pub(super) fn of(check: &CheckResult) -> Self {
        match (&check.outcome, check.level) {
            (Outcome::Passed, _) => Self::Passed,
            (Outcome::Failed, Level::Must) => Self::Failed,
            (Outcome::Failed, Level::Should | Level::May) => Self::Warned,
            (Outcome::Skipped(_), _) => Self::Skipped,
            (Outcome::NotClaimed, _) => Self::NotClaimed,
            (Outcome::Error(_), _) => Self::Error,
        }
    }

    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Warned => "warning",
            Self::Skipped => "skipped",
            Self::NotClaimed => "not claimed",
            Self::Passed => "passed",
        }
    }

    /// The word for so many of it.
    pub(super) fn word_for(self, n: usize) -> &'static str {
        match (self, n) {
            (Self::Error, 2..) => "errors",
            (Self::Warned, 2..) => "warnings",
            (other, _) => other.word(),
        }
    }

    /// Its class in the page.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Warned => "warned",
            Self::NotClaimed => "not-claimed",
            other => other.word(),
        }
    }

    /// Whether a reader has to look at it.
    pub(super) fn is_trouble(self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::Warned)
    }

    pub(super) fn count(self, counts: &Counts) -> usize {
        match self {
            Self::Failed => counts.failed,
            Self::Error => counts.errors,
            Self::Warned => counts.warned,
            Self::Skipped => counts.skipped,
            Self::NotClaimed => counts.not_claimed,
            Self::Passed => counts.passed,
        }
    }
}

/// For templates.
impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Ending", 3)?;
        fields.serialize_field("class", self.class())?;
        fields.serialize_field("word", self.word())?;
        fields.serialize_field("trouble", &self.is_trouble())?;
        fields.end()
    }
}

/// Why a check did not run, or what it could not do.
pub(super) fn reason(check: &CheckResult) -> Option<&str> {
    match &check.outcome {
        Outcome::Skipped(reason) | Outcome::Error(reason) => Some(reason),
        Outcome::Passed | Outcome::Failed | Outcome::NotClaimed => None,
    }
}

/// The word of RFC 2119.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}

/// The part of an id that groups it: `limits` of `limits.3/chunked-body`.
pub(super) fn area(check: &CheckResult) -> &str {
    check.id.split(['.', '/']).next().unwrap_or(&check.id)
}

/// All checks of the run, by how they ended.
pub(super) fn counts(report: &Report) -> Counts {
    let mut counts = Counts::default();
    for check in &report.checks {
        *match Ending::of(check) {
            Ending::Failed => &mut counts.failed,
            Ending::Error => &mut counts.errors,
            Ending::Warned => &mut counts.warned,
            Ending::Skipped => &mut counts.skipped,
            Ending::NotClaimed => &mut counts.not_claimed,
            Ending::Passed => &mut counts.passed,
        } += 1;
    }
    counts
}

/// How many checks of a profile there are to pass.
pub(super) fn total(counts: &Counts) -> usize {
    counts.passed + counts.failed + counts.warned + counts.skipped + counts.errors
}

/// The verdict's word.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Conformant => "conformant",
        Verdict::Partial => "partial",
        Verdict::NonConformant => "non-conformant",
        Verdict::Error => "error",
    }
}

/// The verdict as a sentence.
pub(super) fn sentence(report: &Report) -> String {
    let counts = counts(report);
    match report.verdict {
        Verdict::Conformant => {
            let claimed = report.profiles.len().saturating_sub(1);
            let of = match claimed {
                0 => "the core".to_owned(),
                1 => "the core and of the claimed capability".to_owned(),
                n => format!("the core and of the {n} claimed capabilities"),
            };
            format!("Every MUST of {of} was seen to hold.")
        }
        Verdict::Partial => {
            "Nothing that ran breaks the contract, but not every MUST was looked at.".to_owned()
        }
        Verdict::NonConformant if counts.failed == 1 => "One MUST of the contract does not hold.".to_owned(),
        Verdict::NonConformant if counts.failed > 1 => {
            format!("{} checks found a MUST of the contract that does not hold.", counts.failed)
        }
        Verdict::NonConformant => {
            "The target promises less than it has to, or a strict run has warnings.".to_owned()
        }
        Verdict::Error => {
            "The suite could not look at everything, so it says nothing about the target.".to_owned()
        }
    }
}

/// `1 check`, `2 checks`.
pub(super) fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The target's name, and its version if it gives one.
pub(super) fn title(target: &Target) -> String {
    match &target.version {
        Some(version) => format!("{} {version}", target.name),
        None => target.name.clone(),
    }
}

/// How the target was reached, in a word.
pub(super) fn kind(target: &Target) -> &'static str {
    use crate::result::TargetKind;
    match target.kind {
        TargetKind::Url => "url",
        TargetKind::Process => "process",
        TargetKind::Container => "container",
    }
}

/// What a run says of one profile.
pub(super) fn profile<'a>(report: &'a Report, name: &str) -> Option<&'a ProfileResult> {
    report.profiles.iter().find(|profile| profile.name == name)
}
