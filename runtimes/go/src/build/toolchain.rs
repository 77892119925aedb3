//! The Go toolchain: which one, with which caches, and how it is run.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{error::BuildError, stage::Stage};

/// The oldest minor version of Go 1 that knows all that the SDK uses.
const OLDEST: u32 = 24;

/// A toolchain that works.
pub(super) struct Toolchain {
    /// As in `go1.26.1`.
    pub(super) version: String,
    /// As in `1.26`, for a `go.mod`.
    pub(super) language: String,
    variables: Vec<(&'static str, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct GoEnv {
    goversion: String,
    gocache: PathBuf,
    gomodcache: PathBuf,
}

impl Toolchain {
    /// The `go` on PATH. `root` is the mount, `scratch` a folder for temporary files.
    pub(super) fn find(root: &Path, scratch: &Path, cache_is_set: bool) -> Result<Self, BuildError> {
        let temporary = scratch.join("tmp");
        fs::create_dir_all(&temporary).map_err(|error| BuildError::io("make", &temporary, &error))?;
        let mut toolchain = Self {
            version: String::new(),
            language: String::new(),
            // A go.work around the scratch folder is not the function's.
            variables: vec![("GOTMPDIR", temporary), ("GOWORK", "off".into()), ("CGO_ENABLED", "1".into())],
        };
        let go: GoEnv = toolchain
            .json(scratch, ["env", "-json", "GOVERSION", "GOCACHE", "GOMODCACHE"])
            .map_err(BuildError::Toolchain)?;
        let Some(minor) = minor_version(&go.goversion).filter(|minor| *minor >= OLDEST) else {
            return Err(BuildError::Toolchain(format!(
                "the Go toolchain on PATH is {}; functions are built with go1.{OLDEST} or newer",
                go.goversion
            )));
        };
        toolchain.language = format!("1.{minor}");
        toolchain.version = go.goversion;
        // A container that runs as a user without a home has no usable defaults.
        let caches = [
            ("GOCACHE", go.gocache, root.join(".cache"), cache_is_set), //
            ("GOMODCACHE", go.gomodcache, root.join(".cache/mod"), false),
        ];
        for (name, usual, fallback, is_set) in caches {
            if !is_set && !can_write(&usual) {
                toolchain.variables.push((name, fallback));
            }
        }
        Ok(toolchain)
    }

    /// Compiles and links the staged function. Returns what the toolchain said, or its report.
    pub(super) fn build(&self, stage: &Stage, output: &Path) -> Result<String, String> {
        let mut command = self.command(&stage.source, ["build", "-trimpath", "-buildvcs=false"]);
        // Symbols for debuggers are half of the library; stack traces do not need them.
        command.args(["-buildmode=c-shared", "-ldflags=-s -w", stage.mod_flag(), "-o"]);
        command.arg(output).arg(stage.main_package());
        run(&mut command).map(|(_, said)| said)
    }

    /// Runs a program of the staged module.
    pub(super) fn run<T: DeserializeOwned>(
        &self,
        stage: &Stage,
        program: &str,
        arguments: &[String],
    ) -> Result<T, String> {
        let mut command = self.command(&stage.source, ["run", stage.mod_flag(), program]);
        parse(&run(command.args(arguments))?.0)
    }

    /// Runs `go` and reads the JSON that it prints.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<T, String> {
        parse(&run(&mut self.command(folder, arguments))?.0)
    }

    /// Runs `go` for what it does.
    pub(super) fn go(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<(), String> {
        run(&mut self.command(folder, arguments)).map(drop)
    }

    fn command(&self, folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new("go");
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Standard output and standard error of a command that succeeded; what it said, whole, of one that did not.
fn run(command: &mut Command) -> Result<(String, String), String> {
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no `go` on PATH: install the Go toolchain".to_owned(),
        _ => format!("cannot run `go`: {error}"),
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    if output.status.success() { Ok((stdout, stderr)) } else { Err(stdout + &stderr) }
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("`go` printed what cannot be read ({error}):\n{json}"))
}

/// 26 of `go1.26.1`. A development version, `devel ...`, has none.
fn minor_version(version: &str) -> Option<u32> {
    let numbers = version.strip_prefix("go1.")?;
    let digits = numbers.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbers.len());
    numbers[..digits].parse().ok()
}

/// Whether files can be made in a folder, which is made itself if need be.
fn can_write(folder: &Path) -> bool {
    folder.is_absolute() && fs::create_dir_all(folder).is_ok() && tempfile::tempfile_in(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go() {
        for (version, minor) in [
            ("go1.26.1", Some(26)),
            ("go1.24", Some(24)),
            ("go1.27rc1", Some(27)),
            ("go1.26-custom X:boringcrypto", Some(26)),
            ("devel go1.28-abcdef", None),
            ("", None),
        ] {
            assert_eq!(minor_version(version), minor, "{version}");
        }
    }
}
