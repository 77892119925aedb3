//! What a run has found: the data that every report is made of. Its JSON form is the report's schema, version [`SCHEMA`].

use serde::{Deserialize, Serialize};

/// The version of the report's schema. It goes up when a field changes its meaning or goes away, not when one joins.
pub const SCHEMA: u32 = 1;

/// One run of the suite against one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which suite said this.
    pub suite: Suite,
    /// Of what.
    pub target: Target,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The command line, so that it can be repeated.
    pub command: Vec<String>,
    /// What the target says of itself, and the suite has held it to.
    pub claims: Claims,
    /// What it all comes to.
    pub verdict: Verdict,
    /// `core` first, then one for each claimed capability.
    pub profiles: Vec<ProfileResult>,
    /// Every check of the suite, in the order of SPEC.md, whether it ran or not.
    pub checks: Vec<CheckResult>,
}

/// The suite itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Suite {
    /// `funchost-conformance`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of SPEC.md.
    pub contract: String,
}

/// What was looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Target {
    /// How it was reached.
    pub kind: TargetKind,
    /// What a reader calls it: the name that it gives itself, or the image, program or URL.
    pub name: String,
    /// The version that it gives itself.
    pub version: Option<String>,
    /// The URL, the program or the image, as it was given.
    pub address: String,
    /// The image's digest.
    pub digest: Option<String>,
    /// The language whose fixtures it was given.
    pub language: Option<String>,
    /// Environment variables that were given to every instance besides those of the checks.
    pub environment: Vec<(String, String)>,
}

/// The ways to reach a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A server that runs already.
    Url,
    /// A program that is started with a mount.
    Process,
    /// An image that is started with a mount.
    Container,
}

/// What the target promises.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Claims {
    /// Where this was read: `--describe`, an image's label, a file.
    pub source: String,
    /// The capabilities beyond the core.
    pub capabilities: Vec<String>,
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every MUST of the core and of every claimed capability was seen to hold.
    Conformant,
    /// Nothing that ran failed, but not every MUST ran.
    Partial,
    /// A MUST does not hold, or a claim was less than the profile floor asks for.
    NonConformant,
    /// The suite could not look: an error of the run, not of the target.
    Error,
}

/// The part of a run that belongs to one capability, or to the core.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileResult {
    /// `core`, or the capability's name.
    pub name: String,
    /// As for the whole, over these checks alone.
    pub verdict: Verdict,
    /// How many of its checks ended how.
    pub counts: Counts,
}

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counts {
    /// Checks that held.
    pub passed: usize,
    /// MUST checks that did not.
    pub failed: usize,
    /// SHOULD and MAY checks that did not.
    pub warned: usize,
    /// Checks that were not run.
    pub skipped: usize,
    /// Checks of capabilities that the target does not claim.
    pub not_claimed: usize,
    /// Checks that the suite could not carry out.
    pub errors: usize,
}

/// How binding a requirement is, in the words of RFC 2119.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Without it a host is not conformant.
    Must,
    /// A failure is a warning, unless the run is strict.
    Should,
    /// Looked at only where the capability is claimed; a failure is a warning.
    May,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckResult {
    /// `area.n/slug`; permanent.
    pub id: String,
    /// What is checked, in a line.
    pub summary: String,
    /// The requirement's number in SPEC.md, `area.n`.
    pub requirement: String,
    /// The requirement's text.
    pub text: String,
    /// How binding it is.
    pub level: Level,
    /// The capability that it belongs to, if not to the core.
    pub capability: Option<String>,
    /// The fixture that the target was given.
    pub fixture: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, the target's start included.
    pub seconds: f64,
    /// What was seen, where the check did not simply pass.
    pub evidence: Option<Evidence>,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind", content = "reason")]
pub enum Outcome {
    /// The requirement holds, as far as the check sees.
    Passed,
    /// It does not.
    Failed,
    /// It was not looked at, for this reason.
    Skipped(String),
    /// The target does not claim the capability.
    NotClaimed,
    /// The suite could not carry out the check, for this reason.
    Error(String),
}

/// What a person needs to see why a check failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What the requirement asks for, of this request.
    pub expected: String,
    /// What came instead.
    pub actual: String,
    /// The request as it was sent, cut short.
    pub request: Option<String>,
    /// The response as it came, cut short.
    pub response: Option<String>,
    /// The end of what the target has written.
    pub log: Option<String>,
}
