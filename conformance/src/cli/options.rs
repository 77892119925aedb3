//! What the command line understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::reports::Reports;

/// Holds a function host to the contract of SPEC.md.
///
/// Exit status: 0 conformant, 1 non-conformant or partial, 2 an argument or a file that cannot be used, 3 the suite
/// could not look.
#[derive(Debug, Parser)]
#[command(name = "funchost-conformance", version)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs checks against a target and says what they come to
    Run(Box<Run>),
    /// Lists the checks
    List {
        /// Beginnings of ids, such as `deadline` or `deadline.2`; all when there are none
        only: Vec<String>,
    },
    /// Says what a check asks for, what it does, and why
    Explain {
        /// The check's id, or the beginning of some
        id: String,
    },
    /// Proves that every requirement has a check, and every check a requirement
    Coverage,
    /// Makes other forms of a report from its JSON
    Report {
        /// The JSON
        file: PathBuf,
        #[command(flatten)]
        reports: Reports,
    },
    /// Prints a Markdown table of several reports
    Table {
        /// Their JSON
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Writes the fixtures of all languages to a folder, to begin one's own from
    Fixtures {
        /// Where to
        folder: PathBuf,
    },
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["url", "process", "container"]))]
pub(super) struct Run {
    /// A server that runs already, http://host:port
    #[arg(long, requires = "fixture")]
    pub(super) url: Option<String>,
    /// A program, which is started with MOD_ROOT_PATH, MOD_NAME, FUNC_HANDLER and FUNC_PORT
    #[arg(long, value_name = "PROGRAM")]
    pub(super) process: Option<PathBuf>,
    /// An image, which is started with the function mounted at /kubeless
    #[arg(long, value_name = "IMAGE")]
    pub(super) container: Option<String>,
    /// What starts containers: podman, docker, or such a program's path; the first that is there when not said
    #[arg(long, value_name = "PROGRAM", requires = "container")]
    pub(super) container_program: Option<String>,
    /// An option of that program's `run`, such as --container-arg=--memory=256m; may be repeated
    #[arg(long = "container-arg", value_name = "OPTION", requires = "container", allow_hyphen_values = true)]
    pub(super) container_options: Vec<String>,
    /// Arguments of the program or of the container
    #[arg(last = true)]
    pub(super) arguments: Vec<String>,

    /// The language of the fixtures; what the target says of itself when not said
    #[arg(long)]
    pub(super) language: Option<String>,
    /// A folder of fixtures, <FOLDER>/<language>/<name>, instead of the suite's own
    #[arg(long, value_name = "FOLDER")]
    pub(super) fixtures: Option<PathBuf>,
    /// The fixture that the server at the URL has been given
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(super) fixture: Option<String>,
    /// A shell command that makes a fixture ready, run once in each copy, such as `funchost-go build`
    #[arg(long, value_name = "COMMAND")]
    pub(super) prepare: Option<String>,
    /// An environment variable for every instance; may be repeated. A check's own come first
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) environment: Vec<(String, String)>,

    /// What the target claims, instead of what it says: JSON as of --describe, or TOML
    #[arg(long, value_name = "FILE")]
    pub(super) claims: Option<PathBuf>,
    /// The least that the target has to claim, as of profiles/
    #[arg(long, value_name = "FILE")]
    pub(super) floor: Option<PathBuf>,
    /// A SHOULD that does not hold counts like a MUST
    #[arg(long)]
    pub(super) strict: bool,

    /// Only checks whose id begins so; may be repeated
    #[arg(long, value_name = "ID")]
    pub(super) only: Vec<String>,
    /// No checks whose id begins so; may be repeated
    #[arg(long, value_name = "ID")]
    pub(super) skip: Vec<String>,
    /// How many instances are looked at at the same time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,

    #[command(flatten)]
    pub(super) reports: Reports,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is not NAME=VALUE".to_owned()),
    }
}
