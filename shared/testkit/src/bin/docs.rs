//! Writes the tables of a document that are made from data: the environment variables, the exit codes, the
//! capabilities, the last conformance run, the last benchmark.
//!
//! `docs FILE` rewrites what stands between the markers `<!-- docs: NAME -->` and `<!-- docs: end -->`;
//! `docs --check FILE` changes nothing and fails when something is out of date.

use std::{fmt::Write as _, fs, io::Write as _, path::Path, process::ExitCode};

use bench::{result::Report, table};
use contract::{
    Capability,
    env::{Scope, TABLE, Variable},
};
use host::Exit;

/// What writes a table.
type Table = fn() -> Result<String, String>;

/// The last stored benchmark.
const LATEST: &str = include_str!("../../../bench/results/latest.json");

/// What the conformance suite has last said of the hosts.
const CONFORMANCE: &str = include_str!("../../../../conformance/results.md");

/// The tables by the names that markers use.
const TABLES: [(&str, Table); 5] = [
    ("variables", || Ok(variables())),
    ("exit-codes", || Ok(exit_codes())),
    ("capabilities", || Ok(capabilities())),
    ("conformance", || Ok(CONFORMANCE.to_owned())),
    ("speed", speed),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check", file] => check(Path::new(file)),
        [file] if !file.starts_with('-') => update(Path::new(file)),
        _ => Err("usage: docs [--check] FILE".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "docs: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn update(file: &Path) -> Result<(), String> {
    let old = read(file)?;
    let new = filled(&old).map_err(|problem| format!("{}: {problem}", file.display()))?;
    if new != old {
        fs::write(file, new).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}

fn check(file: &Path) -> Result<(), String> {
    let old = read(file)?;
    let new = filled(&old).map_err(|problem| format!("{}: {problem}", file.display()))?;
    let differs = |(old, new): &(&str, &str)| old != new;
    match old.lines().zip(new.lines()).find(differs) {
        _ if old == new => Ok(()),
        Some((old, new)) => {
            Err(format!("{} is out of date; run `make docs`\n- {old}\n+ {new}", file.display()))
        }
        None => Err(format!("{} is out of date; run `make docs`", file.display())),
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// The document with every table as it should be. A table without its markers is an error: a document that has lost
/// one would otherwise pass for up to date.
fn filled(document: &str) -> Result<String, String> {
    const END: &str = "<!-- docs: end -->";
    TABLES.iter().try_fold(document.to_owned(), |document, (name, table)| {
        let start = format!("<!-- docs: {name} -->\n");
        let (before, rest) = document
            .split_once(&start)
            .ok_or_else(|| format!("the marker {} is missing", start.trim_end()))?;
        let (_, after) =
            rest.split_once(END).ok_or_else(|| format!("{END} is missing after {}", start.trim_end()))?;
        Ok(format!("{before}{start}{}{END}{after}", table()?))
    })
}

/// The rows that every runtime reads, then those of each runtime alone.
fn variables() -> String {
    let mut text = String::new();
    let mut scopes: Vec<Scope> = Vec::new();
    for row in TABLE {
        if !scopes.contains(&row.scope) {
            scopes.push(row.scope);
        }
    }
    for scope in scopes {
        if let Scope::Only(engine) = scope {
            let _ = write!(text, "\nOnly `funchost-{engine}` reads:\n\n");
        }
        text.push_str("| variable | meaning | allowed | default | from |\n|---|---|---|---|---|\n");
        for row in TABLE.iter().filter(|row| row.scope == scope) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                row.name,
                cell(row.meaning),
                cell(&row.kind.to_string()),
                default(row),
                row.origin
            );
        }
    }
    text
}

fn default(row: &Variable) -> String {
    match row.default {
        _ if row.required => "required".to_owned(),
        Some(default) => format!("`{default}`"),
        None => "none".to_owned(),
    }
}

fn exit_codes() -> String {
    let mut text = String::from("| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.code(), cell(exit.meaning()));
    }
    text.push_str("| 128 + n | ended at once by a second signal n |\n");
    text
}

fn capabilities() -> String {
    let mut text = String::from("| capability | meaning |\n|---|---|\n");
    for capability in Capability::ALL {
        // As `--describe` writes it.
        let name = serde_json::json!(capability);
        let name = name.as_str().unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {} |", cell(capability.meaning()));
    }
    text
}

fn speed() -> Result<String, String> {
    let report = Report::parse(LATEST).map_err(|error| format!("the last benchmark: {error}"))?;
    Ok(table::readme(&report))
}

/// A text that cannot end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
