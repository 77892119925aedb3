//! Why a check did not pass.

use crate::result::Evidence;

/// What a check returns: nothing when the requirement was seen to hold.
pub type Seen = Result<(), Problem>;

/// Why a check did not pass.
#[derive(Debug)]
pub enum Problem {
    /// The target did something else than it should.
    Failed(Box<Evidence>),
    /// The suite could not look.
    Broken(String),
}

impl Problem {
    /// The target did `actual` where it should have done `expected`.
    pub fn failed(expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self::Failed(Box::new(Evidence {
            expected: expected.into(),
            actual: actual.into(),
            ..Evidence::default()
        }))
    }

    /// The suite could not look, for this reason.
    pub fn broken(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }

    /// With what was sent and what came back.
    pub fn with(mut self, request: &str, response: &str) -> Self {
        if let Self::Failed(evidence) = &mut self {
            evidence.request.get_or_insert_with(|| request.to_owned());
            evidence.response.get_or_insert_with(|| response.to_owned());
        }
        self
    }
}

/// Fails unless `holds`.
pub fn expect(holds: bool, expected: impl Into<String>, actual: impl Into<String>) -> Seen {
    if holds { Ok(()) } else { Err(Problem::failed(expected, actual)) }
}
