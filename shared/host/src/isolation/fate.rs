//! Why a worker goes.

use std::time::Instant;

use crate::metrics::WorkerEnd;

/// What a worker without new calls is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// It has calls in time; the last of them no longer than this.
    Busy { until: Instant },
    /// It has none, and some that were given up may still run.
    Stuck,
    /// It has none.
    Idle,
}

/// Whether a worker has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leave {
    /// No.
    Stays,
    /// It has done its part; nothing is wrong with it.
    WhenReplaced,
    /// A call in it does not stop.
    AtOnce,
}

/// Why the host has ended a worker, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There is nothing left for it to do.
    Finished,
    /// It could not load the function.
    Refused,
    /// A call did not stop.
    Stuck,
    /// It had most of too much memory.
    Memory,
    /// It has let go of its link, or talks nonsense over it.
    Unlinked,
    /// The host ends, and it does not.
    Late,
}

impl Fate {
    /// How it is counted.
    pub(super) fn end(self) -> WorkerEnd {
        match self {
            Self::Finished => WorkerEnd::Finished,
            Self::Refused => WorkerEnd::Start,
            Self::Stuck => WorkerEnd::Stuck,
            Self::Memory => WorkerEnd::Memory,
            Self::Unlinked => WorkerEnd::Unlinked,
            Self::Late => WorkerEnd::Late,
        }
    }

    /// Reads after "the worker was killed:".
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Finished => "it was asked to end",
            Self::Refused => "it could not load the function",
            Self::Memory => "the workers had more memory than FUNC_MEMORY_LIMIT allows, and it had most",
            Self::Stuck => "a call did not stop when its time was over",
            Self::Unlinked => "it has closed its connection to the host, or misused it",
            Self::Late => "the host ends",
        }
    }
}
