//! The functions that targets are given.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use include_dir::{Dir, include_dir};
use tempfile::TempDir;

use crate::target::{HANDLER, function_variables};

/// The fixtures of the repository, so that the program needs no other file.
pub static OWN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/fixtures");

/// The fixtures of one language, copied and prepared once each.
pub struct Fixtures {
    language: String,
    /// A folder with one folder for each language; the program's own when it is not there.
    folder: Option<PathBuf>,
    /// A shell command that makes a copy ready.
    prepare: Option<String>,
    copies: Mutex<HashMap<String, Slot>>,
}

/// One copy, which is made by whoever asks for it first.
type Slot = Arc<OnceLock<Result<Copy, Unprepared>>>;

struct Copy {
    folder: TempDir,
}

/// Why there is no prepared copy of a fixture.
#[derive(Clone, Debug)]
pub enum Unprepared {
    /// The command to prepare it ended with a failure, and has written this. For a function that is broken this is right.
    Refused(String),
    /// The suite could not make the copy.
    Broken(String),
}

impl Fixtures {
    /// Those of `language` below `folder`.
    pub fn new(language: &str, folder: Option<PathBuf>, prepare: Option<String>) -> Self {
        Self { language: language.to_owned(), folder, prepare, copies: Mutex::default() }
    }

    /// The language.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// A folder with the fixture, prepared.
    pub fn prepared(&self, name: &str) -> Result<PathBuf, Unprepared> {
        let slot = {
            let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(copies.entry(name.to_owned()).or_default())
        };
        slot.get_or_init(|| self.prepare(name))
            .as_ref()
            .map(|copy| copy.folder.path().to_owned())
            .map_err(Clone::clone)
    }

    fn prepare(&self, name: &str) -> Result<Copy, Unprepared> {
        let broken =
            |problem: std::io::Error| Unprepared::Broken(format!("a copy of the fixture {name}: {problem}"));
        let folder = tempfile::tempdir().map_err(broken)?;
        // A container may run as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).map_err(broken)?;
        let path = format!("{}/{name}", self.language);
        let missing = || {
            let place = self
                .folder
                .as_ref()
                .map_or("the suite's own fixtures".to_owned(), |folder| folder.display().to_string());
            Unprepared::Broken(format!(
                "there is no fixture {path} in {place}; fixtures/README.md says what it must do"
            ))
        };
        match &self.folder {
            Some(from) if from.join(&path).is_dir() => {
                copy(&from.join(&path), folder.path()).map_err(broken)?;
            }
            None => extract(OWN.get_dir(&path).ok_or_else(missing)?, folder.path()).map_err(broken)?,
            Some(_) => return Err(missing()),
        }
        if let Some(command) = &self.prepare {
            run(command, folder.path(), name)?;
        }
        Ok(Copy { folder })
    }
}

/// Runs the command to prepare a fixture in its copy, with what Kubeless gives its build steps.
fn run(command: &str, folder: &Path, name: &str) -> Result<(), Unprepared> {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("KUBELESS_INSTALL_VOLUME", folder)
        .env("KUBELESS_FUNC_NAME", HANDLER)
        .env("MOD_ROOT_PATH", folder)
        .envs(function_variables())
        .stdin(Stdio::null())
        .output()
        .map_err(|problem| Unprepared::Broken(format!("sh cannot be started: {problem}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        // What the shell says when there is no such program.
        Some(126 | 127) => Err(Unprepared::Broken(format!("--prepare cannot be run: {}", said.trim()))),
        _ => Err(Unprepared::Refused(format!(
            "the fixture {name} could not be prepared ({}):\n{said}",
            output.status
        ))),
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Writes a folder of the program's own files.
pub fn extract(folder: &Dir<'_>, to: &Path) -> std::io::Result<()> {
    for entry in folder.entries() {
        let target = to.join(entry.path().file_name().unwrap_or_default());
        match entry {
            include_dir::DirEntry::Dir(inner) => {
                std::fs::create_dir_all(&target)?;
                extract(inner, &target)?;
            }
            include_dir::DirEntry::File(file) => std::fs::write(&target, file.contents())?,
        }
    }
    Ok(())
}
