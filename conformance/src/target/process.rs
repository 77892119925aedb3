//! A program with a folder for its mount.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal as Number, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Environment, Instance, Output, Signal, Target, port};
use crate::claims::Description;
use crate::result::TargetKind;
use crate::trial::wait;

/// How long a program may take to describe itself.
const DESCRIBING: Duration = Duration::from_secs(20);

/// A program that is started with `MOD_ROOT_PATH`, `MOD_NAME`, `FUNC_HANDLER` and `FUNC_PORT`.
#[derive(Debug)]
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Process {
    /// A program, and what it is given as arguments.
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }
}

impl Target for Process {
    fn kind(&self) -> TargetKind {
        TargetKind::Process
    }

    fn address(&self) -> String {
        self.program.display().to_string()
    }

    fn describe(&self) -> Result<Description, String> {
        let broken =
            |problem: std::io::Error| format!("{} cannot be started: {problem}", self.program.display());
        let mut said = tempfile::tempfile().map_err(broken)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg("--describe")
            .stdin(Stdio::null())
            .stdout(said.try_clone().map_err(broken)?)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(broken)?;
        let status = wait(DESCRIBING, || child.try_wait().ok().flatten());
        if status.is_none() {
            // A server that takes no notice of arguments would serve for ever.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Number::SIGKILL);
            let _ = child.wait();
        }
        let mut text = String::new();
        let read = said.rewind().and_then(|()| said.read_to_string(&mut text));
        // A program that does not know the argument claims nothing.
        if read.is_err()
            || !status.is_some_and(|status| status.success())
            || !text.trim_start().starts_with('{')
        {
            return Ok(Description::default());
        }
        Description::from_json(&text, &format!("{} --describe", self.program.display()))
    }

    fn start(&self, mount: &Path, environment: &Environment) -> Result<Box<dyn Instance>, String> {
        let folder = tempfile::tempdir().map_err(|problem| format!("a folder for its output: {problem}"))?;
        let file = |name: &str| {
            File::create(folder.path().join(name)).map_err(|problem| format!("the file {name}: {problem}"))
        };
        let (stdout, stderr) = (file("stdout")?, file("stderr")?);
        file("termination-log")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env("MOD_ROOT_PATH", mount)
            .env("FUNC_PORT", address.port().to_string())
            .env("FUNC_TERMINATION_LOG", folder.path().join("termination-log"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // All that it starts ends with it.
            .process_group(0)
            .spawn()
            .map_err(|problem| format!("{} cannot be started: {problem}", self.program.display()))?;
        Ok(Box::new(Started {
            group: Pid::from_raw(child.id().cast_signed()),
            child: Mutex::new(child),
            address,
            folder,
        }))
    }
}

struct Started {
    child: Mutex<Child>,
    group: Pid,
    address: SocketAddr,
    folder: TempDir,
}

impl Started {
    fn written(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Instance for Started {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn output(&self) -> Output {
        Output { stdout: self.written("stdout"), stderr: self.written("stderr") }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let number = match signal {
            Signal::Terminate => Number::SIGTERM,
            Signal::Interrupt => Number::SIGINT,
        };
        // To the program alone, as a container's runtime does it.
        nix::sys::signal::kill(self.group, number).map_err(|problem| format!("{number}: {problem}"))
    }

    fn exit_status(&self) -> Option<i32> {
        let status = self.child().try_wait().ok()??;
        status.code().or_else(|| status.signal().map(|number| 128 + number))
    }

    fn termination_log(&self) -> String {
        self.written("termination-log")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = killpg(self.group, Number::SIGKILL);
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_by(script: &str) -> Result<Description, String> {
        Process::new("/bin/sh".into(), vec!["-c".to_owned(), script.to_owned()]).describe()
    }

    #[test]
    fn a_program_may_describe_itself_or_not() {
        let described = said_by("echo '{\"name\": \"mine\", \"capabilities\": [\"multipart\"]}'").unwrap();
        assert_eq!((described.name.as_deref(), described.capabilities.len()), (Some("mine"), 1));
        for silent in ["exit 64", "echo usage: mine FILE", "echo '{}' && exit 1", "true"] {
            assert_eq!(said_by(silent).unwrap(), Description::default(), "{silent}");
        }
        assert!(said_by("echo '{broken'").unwrap_err().contains("--describe"));
    }
}
