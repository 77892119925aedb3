//! The command line.

mod options;
mod reports;
mod run;

use std::io::Write;

use clap::Parser;

use crate::check::Check;
use crate::checks;
use crate::coverage;
use crate::spec::spec;
use options::{Command, Options};

/// Conformant, or a command that has done what it was asked to.
const OK: u8 = 0;
/// Non-conformant or partial.
const NOT_CONFORMANT: u8 = 1;
/// An argument or a file that cannot be used.
const USAGE: u8 = 2;
/// The suite could not look.
const ERROR: u8 = 3;

/// Does what the arguments say and returns the exit status.
pub fn main() -> u8 {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(problem) => {
            // Help and version are printed in the same way, and are no mistakes.
            let _ = problem.print();
            return if problem.use_stderr() { USAGE } else { OK };
        }
    };
    match options.command {
        Command::Run(options) => run::run(&options),
        Command::List { only } => list(&only),
        Command::Explain { id } => explain(&id),
        Command::Coverage => cover(),
        Command::Report { file, reports } => reports::convert(&file, &reports),
        Command::Table { files } => reports::table(&files),
        Command::Fixtures { folder } => fixtures(&folder),
    }
}

/// Writes a line to standard output. Nobody reading it is no reason to fail.
fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// Writes a line to standard error.
fn complain(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "funchost-conformance: {}", line.as_ref());
}

fn level(check: &Check) -> String {
    let level = format!("{:?}", check.level).to_uppercase();
    check.needs.map_or(level.clone(), |capability| format!("{level}, {capability}"))
}

fn list(only: &[String]) -> u8 {
    let mut is_empty = true;
    for check in checks::all() {
        if only.is_empty() || only.iter().any(|prefix| check.is_selected_by(prefix)) {
            say(format!("{:<55} {:<28} {:<16} {}", check.id, level(check), check.fixture, check.summary));
            is_empty = false;
        }
    }
    if is_empty {
        complain(format!("no check's id begins with {}", only.join(" or ")));
        return USAGE;
    }
    OK
}

fn explain(id: &str) -> u8 {
    let found: Vec<_> = checks::all().into_iter().filter(|check| check.is_selected_by(id)).collect();
    if found.is_empty() {
        complain(format!("no check's id begins with \"{id}\"; `funchost-conformance list` prints them"));
        return USAGE;
    }
    for check in found {
        let Some(requirement) = spec().find(check.requirement()) else { continue };
        say(check.id);
        say(format!("  requirement  {} ({}) {}", requirement.id, level(check), requirement.title));
        say(format!("               {}", requirement.text));
        say(format!("  source       {}", requirement.source));
        say(format!("  what is done {}", check.summary));
        say(format!("  function     fixture {}", check.fixture));
        for (name, value) in check.environment {
            say(format!("  environment  {name}={value}"));
        }
        let demands = check.demands;
        for (is_so, what) in [
            (demands.logs, "reads what the target writes"),
            (demands.alone, "gets an instance of its own"),
            (demands.starts, "starts instances itself"),
        ] {
            if is_so {
                say(format!("  besides      it {what}"));
            }
        }
    }
    OK
}

fn cover() -> u8 {
    let checks = checks::all();
    let gaps = coverage::gaps(spec(), &checks);
    for gap in &gaps {
        complain(gap);
    }
    say(format!("{} requirements, {} checks, {} gaps", spec().requirements.len(), checks.len(), gaps.len()));
    if gaps.is_empty() { OK } else { NOT_CONFORMANT }
}

fn fixtures(folder: &std::path::Path) -> u8 {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| crate::fixtures::extract(&crate::fixtures::OWN, folder));
    match written {
        Ok(()) => OK,
        Err(problem) => {
            complain(format!("{}: {problem}", folder.display()));
            ERROR
        }
    }
}
