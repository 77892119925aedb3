//! Telling why the process cannot go on, where people look for it: standard error, and the file from which
//! Kubernetes takes a container's termination message.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

use contract::env::{self, Variables};

use crate::{config::Environment, exit::Exit};

/// What Kubernetes keeps of a termination message, in bytes; of a longer one it keeps the end.
const KEPT: usize = 4096;

/// Reports and says how to exit.
pub(crate) fn exit(name: &str, exit: Exit, message: &str) -> Exit {
    report(&format!("funchost-{name}"), message);
    exit
}

/// Writes `message` to standard error and to `FUNC_TERMINATION_LOG`, if that file exists.
///
/// It works before the configuration could be read, and never fails: there is nobody left to tell.
pub fn report(program: &str, message: &str) {
    let message = format!("{program}: {}\n", message.trim_end());
    let _ = io::stderr().write_all(message.as_bytes());
    let row = &env::FUNC_TERMINATION_LOG;
    let set = Environment.get(row.name).ok().flatten().filter(|path| !path.is_empty());
    if let Some(path) = set.as_deref().or(row.default) {
        // Written only where Kubernetes has put it: a file of this name elsewhere would be litter.
        let _ = write_existing(Path::new(path), &fitted(&message));
    }
}

fn write_existing(path: &Path, message: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

/// The first line, which names the thing, and as much of the end as fits.
fn fitted(message: &str) -> String {
    const GAP: &str = "\n...\n";
    if message.len() <= KEPT {
        return message.to_owned();
    }
    let first: String = message.lines().next().unwrap_or_default().chars().take(400).collect();
    let mut start = message.len() - KEPT.saturating_sub(first.len() + GAP.len());
    while !message.is_char_boundary(start) {
        start += 1;
    }
    format!("{first}{GAP}{}", &message[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_its_first_line_and_its_end() {
        let long = format!("what happened\n{}the last line\n", "äöü\n".repeat(2000));
        let fitted = fitted(&long);
        assert!(fitted.len() <= KEPT, "{}", fitted.len());
        assert!(fitted.starts_with("what happened\n...\n"));
        assert!(fitted.ends_with("the last line\n"));
    }
}
