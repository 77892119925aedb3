//! Runs examples on a host and shows what goes in and out:
//! `try-examples <program> <folder of a language, or of one example>...`
//!
//! Exit status: 0 when everything was answered as the examples say, 1 when not, 64 when called wrongly.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use testkit::{Launch, examples::Example};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(program) = arguments.next() else { return wrong_usage() };
    let folders: Vec<PathBuf> = arguments.collect();
    if folders.is_empty() {
        return wrong_usage();
    }
    match run(&program, &folders) {
        Ok(mismatches) if mismatches.is_empty() => ExitCode::SUCCESS,
        Ok(mismatches) => {
            for mismatch in mismatches {
                let _ = writeln!(io::stderr(), "mismatch: {mismatch}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "try-examples: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage() -> ExitCode {
    let _ = writeln!(io::stderr(), "usage: try-examples PROGRAM FOLDER...");
    ExitCode::from(64)
}

fn run(program: &Path, folders: &[PathBuf]) -> io::Result<Vec<String>> {
    let mut examples = Vec::new();
    for folder in folders {
        if folder.join("calls.json").is_file() {
            examples.push(Example::load(folder)?);
        } else {
            examples.extend(Example::all(folder)?);
        }
    }
    let launch = Launch::new(program).inherit("FUNC_PYTHON");
    let mut mismatches = Vec::new();
    let mut stdout = io::stdout().lock();
    for example in &examples {
        let report = example.run(&launch)?;
        writeln!(stdout, "{}", report.transcript)?;
        mismatches.extend(report.mismatches);
    }
    writeln!(stdout, "{} examples, {} mismatches", examples.len(), mismatches.len())?;
    Ok(mismatches)
}
