//! Finding and opening libpython.

pub(crate) mod find;

mod ffi;
mod interpreter;

use std::{
    env,
    path::{Path, PathBuf},
};

use find::{Attempts, Candidate};

/// The host's library, as cargo names it.
const LIBRARY: &str = "libfunchost_python.so";

/// The oldest Python that the library can run on: its symbols are those of the limited API of this version.
const OLDEST: (u32, u32) = (3, 10);

/// Opens the first candidate that is a Python we can run on, then the host's library on top of it.
pub(crate) fn open(candidates: Vec<Candidate>) -> Result<ffi::Host, String> {
    let mut attempts = Attempts::default();
    for candidate in candidates {
        match candidate {
            Candidate::Unusable { what, reason } => attempts.failed(what, reason),
            Candidate::Library { path, program } => match usable(&path) {
                Ok(python) => return python.open_host(&library()?, program.as_deref()),
                Err(reason) => attempts.failed(path.display().to_string(), reason),
            },
        }
    }
    Err(attempts.into_message())
}

fn usable(path: &Path) -> Result<ffi::Python, String> {
    let python = ffi::Python::open(path)?;
    check_version(python.version())?;
    Ok(python)
}

/// `version` is how Python describes itself: `3.13.5 (main, Jun 25 2025, ...) [GCC 14.2.0]`.
fn check_version(version: &str) -> Result<(), String> {
    let number = version.split_whitespace().next().unwrap_or(version);
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if found < OLDEST || found.0 > 3 {
        return Err(format!("it is Python {number}; allowed: 3.{} or later", OLDEST.1));
    }
    if version.contains("free-threading") {
        return Err(format!("it is Python {number} built without the GIL; allowed: ordinary builds"));
    }
    Ok(())
}

/// The host's library lies beside the program, in `../lib` of an installation, or in `deps` of a build directory,
/// which comes first because there cargo keeps the newest one.
fn library() -> Result<PathBuf, String> {
    let program =
        env::current_exe().map_err(|error| format!("cannot tell where this program is: {error}"))?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places = ["deps", ".", "../lib"].map(|place| folder.join(place).join(LIBRARY));
    let found = places.iter().find(|place| place.is_file()).cloned();
    found.ok_or_else(|| {
        let places = places.map(|place| format!("\n  {}", place.display())).concat();
        format!("{LIBRARY}, which belongs to this program, is in none of these places:{places}")
    })
}
