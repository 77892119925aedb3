//! Why a function cannot be built.

use std::{fmt, io, path::Path};

use contract::env::Invalid;
use host::Exit;

#[derive(Debug)]
pub(super) enum BuildError {
    /// Arguments or variables.
    Usage(String),
    /// The function's sources, in one sentence.
    Function(String),
    /// The function's sources, in the compiler's words.
    Compiler(String),
    /// No toolchain, or one that does not work.
    Toolchain(String),
    /// A file.
    Io(String),
}

impl BuildError {
    pub(super) fn variables(mistakes: &[Invalid]) -> Self {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Self::Usage(lines.join("\n"))
    }

    pub(super) fn io(verb: &str, path: &Path, error: &io::Error) -> Self {
        Self::Io(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// The same exit statuses as those of the server, for the same reasons.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Function(_) | Self::Compiler(_) => Exit::Handler,
            Self::Toolchain(_) => Exit::Language,
            Self::Io(_) => Exit::Internal,
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler(report) => write!(f, "the function does not compile:\n{report}"),
            Self::Usage(text) | Self::Function(text) | Self::Toolchain(text) | Self::Io(text) => {
                f.write_str(text)
            }
        }
    }
}
