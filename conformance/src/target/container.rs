//! An image that is started with podman or docker, or with anything that takes the same commands.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output as Ran, Stdio};

use tempfile::NamedTempFile;

use super::{Environment, Instance, Output, Signal, Target, port};
use crate::claims::Description;
use crate::result::TargetKind;

/// The label of an image that lists its capabilities, separated by commas.
pub const LABEL: &str = "dev.funchost.capabilities";

/// Where Kubeless mounts functions.
const MOUNT: &str = "/kubeless";
/// Where servers of functions listen in their containers.
const PORT: u16 = 8080;

/// An image, and how its containers are started.
#[derive(Debug)]
pub struct Container {
    /// `podman`, `docker`, or the path of such a program.
    pub program: String,
    /// The image.
    pub image: String,
    /// Options of the program's `run`.
    pub options: Vec<String>,
    /// Arguments of the container.
    pub arguments: Vec<String>,
}

impl Container {
    fn run(&self, arguments: &[&str]) -> Result<Ran, String> {
        run(&self.program, arguments)
    }

    fn inspect(&self, format: &str) -> Result<String, String> {
        let ran = self.run(&["image", "inspect", "--format", format, &self.image])?;
        if !ran.status.success() {
            return Err(format!(
                "{} does not know the image {}: {}",
                self.program,
                self.image,
                said(&ran.stderr)
            ));
        }
        let text = said(&ran.stdout);
        // Go's templates write this for what is not there.
        Ok(if text == "<no value>" { String::new() } else { text })
    }

    /// The image's digest.
    pub fn digest(&self) -> Option<String> {
        self.inspect("{{.Id}}").ok().filter(|digest| !digest.is_empty())
    }

    /// Whether containers share the machine's network, where no port is published.
    fn is_on_host(&self) -> bool {
        let options = &self.options;
        options.iter().any(|option| option == "--network=host" || option == "--net=host")
            || options
                .windows(2)
                .any(|pair| (pair[0] == "--network" || pair[0] == "--net") && pair[1] == "host")
    }
}

impl Target for Container {
    fn kind(&self) -> TargetKind {
        TargetKind::Container
    }

    fn address(&self) -> String {
        self.image.clone()
    }

    fn describe(&self) -> Result<Description, String> {
        let labelled = self.inspect(&format!("{{{{index .Config.Labels \"{LABEL}\"}}}}"))?;
        let version = self.inspect("{{index .Config.Labels \"org.opencontainers.image.version\"}}")?;
        let capabilities =
            labelled.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Description {
            source: format!("the label {LABEL} of {}", self.image),
            name: None,
            version: Some(version).filter(|version| !version.is_empty()),
            language: None,
            capabilities,
        })
    }

    fn start(&self, mount: &Path, environment: &Environment) -> Result<Box<dyn Instance>, String> {
        let outside = port::free()?;
        let log =
            NamedTempFile::new().map_err(|problem| format!("a file for the termination log: {problem}"))?;
        // Whoever the container runs as may write to it.
        std::fs::set_permissions(log.path(), std::fs::Permissions::from_mode(0o666))
            .map_err(|problem| format!("the file for the termination log: {problem}"))?;
        let mut arguments: Vec<String> = ["run", "--detach"].map(str::to_owned).to_vec();
        if self.is_on_host() {
            arguments.extend(["--env".to_owned(), format!("FUNC_PORT={outside}")]);
        } else {
            arguments.extend(["--publish".to_owned(), format!("127.0.0.1:{outside}:{PORT}")]);
        }
        arguments.extend(["--volume".to_owned(), format!("{}:{MOUNT}:ro", mount.display())]);
        arguments.extend(["--volume".to_owned(), format!("{}:/dev/termination-log", log.path().display())]);
        for (name, value) in environment {
            arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend(self.options.iter().cloned());
        arguments.push(self.image.clone());
        arguments.extend(self.arguments.iter().cloned());
        let ran = self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        let id = said(&ran.stdout).lines().last().unwrap_or_default().to_owned();
        if !ran.status.success() || id.is_empty() {
            return Err(format!("{} cannot start {}: {}", self.program, self.image, said(&ran.stderr)));
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, outside));
        Ok(Box::new(Started { program: self.program.clone(), id, address, log }))
    }
}

struct Started {
    program: String,
    id: String,
    address: SocketAddr,
    log: NamedTempFile,
}

impl Instance for Started {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn output(&self) -> Output {
        match run(&self.program, &["logs", &self.id]) {
            Ok(ran) => Output {
                stdout: String::from_utf8_lossy(&ran.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&ran.stderr).into_owned(),
            },
            Err(problem) => Output { stdout: String::new(), stderr: problem },
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let name = match signal {
            Signal::Terminate => "SIGTERM",
            Signal::Interrupt => "SIGINT",
        };
        let ran = run(&self.program, &["kill", "--signal", name, &self.id])?;
        if ran.status.success() { Ok(()) } else { Err(format!("{name}: {}", said(&ran.stderr))) }
    }

    fn exit_status(&self) -> Option<i32> {
        let ran =
            run(&self.program, &["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", &self.id])
                .ok()?;
        let text = said(&ran.stdout);
        let (state, status) = text.split_once(' ')?;
        if state == "exited" { status.parse().ok() } else { None }
    }

    fn termination_log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = run(&self.program, &["rm", "--force", &self.id]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<Ran, String> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|problem| format!("{program} cannot be started: {problem}"))
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
