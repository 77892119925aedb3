//! How the process ends.

use std::process::ExitCode;

/// Every exit status of a host. The values follow the customary ones of `sysexits.h`, so that a supervisor can tell
/// a mistake of the deployment from a broken function and from a fault of the host.
///
/// A second signal during a drain ends the process at once with 128 plus the signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Asked to stop, and every call was answered.
    Done = 0,
    /// Asked by `--probe`: nothing healthy answers.
    Unhealthy = 1,
    /// Unknown argument, or variables that are missing or have a value that is not allowed.
    Usage = 64,
    /// The function could not be loaded.
    Handler = 65,
    /// The language could not be started.
    Language = 69,
    /// A fault of the host itself.
    Internal = 70,
    /// The address could not be listened on.
    Listen = 71,
    /// Asked to stop, but calls were still running when `SHUTDOWN_TIMEOUT` was over.
    Unfinished = 75,
}

impl Exit {
    /// All of them, for the documentation.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Unhealthy,
        Self::Usage,
        Self::Handler,
        Self::Language,
        Self::Internal,
        Self::Listen,
        Self::Unfinished,
    ];

    /// The number that the operating system sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// One line for the help text.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "asked to stop, and every call was answered",
            Self::Unhealthy => "only with --probe: the host that was asked is not healthy",
            Self::Usage => "unknown argument, or variables missing or not allowed",
            Self::Handler => "the function could not be loaded",
            Self::Language => "the language could not be started",
            Self::Internal => "a fault of the host itself",
            Self::Listen => "the address could not be listened on",
            Self::Unfinished => "asked to stop, but calls still ran when SHUTDOWN_TIMEOUT was over",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
