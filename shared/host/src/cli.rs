//! The command line: a host is configured by its environment, so this only tells about it.

use std::{ffi::OsString, fmt::Write as _, io::Write as _};

use contract::{
    CONTRACT_VERSION, Capability,
    env::{TABLE, Variable},
};

use crate::{config::Environment, exit::Exit, fatal, isolation::MARK, probe};

/// Answers the arguments after the program's name, if there are any: `None` means to serve, or to be a worker.
pub(crate) fn answer(
    name: &str,
    capabilities: &[Capability],
    mut arguments: impl Iterator<Item = OsString>,
) -> Option<Exit> {
    let argument = arguments.next().filter(|argument| argument != MARK)?;
    Some(match argument.to_str() {
        Some("--help" | "-h") => print(&help(name)),
        Some("--version" | "-V") => print(&format!("funchost-{name} {}\n", env!("CARGO_PKG_VERSION"))),
        Some("--describe") => print(&describe(name, capabilities)),
        Some("--probe") => probe::run(name, &Environment),
        _ => {
            let problem = format!(
                "argument \"{}\" is not known; allowed: --help, --version, --describe, --probe, or none to serve",
                argument.to_string_lossy().escape_debug()
            );
            fatal::exit(name, Exit::Usage, &problem)
        }
    })
}

/// Writes to standard output; a reader that has gone is no error of ours.
fn print(text: &str) -> Exit {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Done
}

/// What tools read: name, versions and promises.
fn describe(name: &str, capabilities: &[Capability]) -> String {
    let mut capabilities = capabilities.to_vec();
    capabilities.sort_unstable();
    let description = serde_json::json!({
        "name": format!("funchost-{name}"),
        "version": env!("CARGO_PKG_VERSION"),
        "language": name,
        "contract": CONTRACT_VERSION,
        "capabilities": capabilities,
    });
    format!("{description:#}\n")
}

fn help(name: &str) -> String {
    let mut text = format!(
        "funchost-{name} {}: loads a function and serves it over HTTP.\n\n\
         Usage: funchost-{name} [--help | --version | --describe | --probe]\n\n\
         Without an argument it serves. With --probe it asks the host that runs with the same variables whether\n\
         it is alive. It is configured by environment variables:\n",
        env!("CARGO_PKG_VERSION")
    );
    for row in TABLE.iter().filter(|row| row.scope.includes(name)) {
        let _ = write!(text, "\n  {}\n{}      {}\n", row.name, wrapped(row.meaning, 6), values(row));
    }
    text.push_str("\nExit status:\n\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    text.push_str("  128 + n  ended at once by a second signal n\n");
    text
}

fn values(row: &Variable) -> String {
    let default = match row.default {
        _ if row.required => "required".to_owned(),
        Some(default) => format!("default {default}"),
        None => "no default".to_owned(),
    };
    format!("[{}; {default}; from {}]", row.kind, row.origin)
}

/// Breaks a text into lines that fit a terminal.
fn wrapped(text: &str, indent: usize) -> String {
    const WIDTH: usize = 96;
    let mut lines = String::new();
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}
