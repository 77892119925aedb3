//! What is looked at, and the ways to start it.

mod container;
mod port;
mod process;
mod url;

use std::net::SocketAddr;
use std::path::Path;

pub use container::{Container, LABEL};
pub use process::Process;
pub use url::Url;

use crate::claims::Description;
use crate::result::TargetKind;

/// The module of every fixture, in every language.
pub const MODULE: &str = "function";
/// The handler of every fixture: a name that every language can spell, those included that export capital letters only.
pub const HANDLER: &str = "Handle";

/// Environment variables, each with its value.
pub type Environment = Vec<(String, String)>;

/// Something that can be held to the contract. Checks start many instances of it, at the same time.
pub trait Target: Sync {
    /// How it is reached.
    fn kind(&self) -> TargetKind;

    /// The URL, the program or the image, as it was given.
    fn address(&self) -> String;

    /// What it says of itself. An error is a broken target; silence is not.
    fn describe(&self) -> Result<Description, String>;

    /// Starts an instance with a function. It need not be ready when this returns. The error says what the suite could
    /// not do.
    fn start(&self, mount: &Path, environment: &Environment) -> Result<Box<dyn Instance>, String>;
}

/// One instance. It ends when it is dropped.
pub trait Instance: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// What it has written so far.
    fn output(&self) -> Output;

    /// Tells it to end: `SIGTERM` or `SIGINT`.
    fn signal(&self, signal: Signal) -> Result<(), String>;

    /// Its exit status if it has ended, 128 + n if signal n ended it.
    fn exit_status(&self) -> Option<i32>;

    /// What it has told Kubernetes of its end.
    fn termination_log(&self) -> String;
}

/// What an instance has written.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// On standard output.
    pub stdout: String,
    /// On standard error.
    pub stderr: String,
}

impl Output {
    /// Both, one after the other.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The end of both, as a report shows it.
    pub fn tail(&self) -> String {
        let end = |text: &str| {
            let lines: Vec<_> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(15)..].join("\n");
            // From the right, and never through the middle of a character.
            end.char_indices().rev().nth(3000).map_or(end.clone(), |(at, _)| end[at..].to_owned())
        };
        match (end(&self.stdout), end(&self.stderr)) {
            (out, error) if out.is_empty() => error,
            (out, error) if error.is_empty() => out,
            (out, error) => format!("{out}\n-- standard error --\n{error}"),
        }
    }
}

/// The signals that ask for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// What Kubernetes sends.
    Terminate,
    /// What Ctrl-C sends.
    Interrupt,
}

/// The variables that name a fixture's function, without the folder that it is in.
pub(crate) fn function_variables() -> Environment {
    [("MOD_NAME", MODULE), ("FUNC_HANDLER", HANDLER)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// `later` after `earlier`; of two with the same name the later one counts.
pub(crate) fn merged(earlier: &Environment, later: &Environment) -> Environment {
    let stays = |name: &String| !later.iter().any(|(other, _)| other == name);
    earlier.iter().filter(|(name, _)| stays(name)).chain(later).cloned().collect()
}
