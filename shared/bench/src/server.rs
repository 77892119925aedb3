//! A contender while it runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::runtime::Runtime;

use super::{
    client::{self, Payload},
    spec::{Contender, Expect, Spec, Workload},
    tree,
};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing is done between two looks at a server that does not answer yet.
const POLL: Duration = Duration::from_micros(500);

/// The processor that servers run on, and the one for everything else.
pub(super) const SERVER_CPU: usize = 0;
pub(super) const CLIENT_CPU: usize = 1;

/// Below the ports that the system gives to clients, so that none of theirs is in the way.
const FIRST_PORT: u16 = 21_000;

/// What starts contenders: where everything is, and what has been prepared already.
#[derive(Debug)]
pub(super) struct Starter<'a> {
    pub(super) spec: &'a Spec,
    pub(super) binaries: PathBuf,
    pub(super) tools: PathBuf,
    work: tempfile::TempDir,
    prepared: BTreeSet<(Vec<String>, BTreeMap<String, String>)>,
    port: u16,
}

/// What a client needs to know of a server.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The function's path.
    pub(super) path: String,
    pub(super) payload: Option<Payload>,
    pub(super) expect: Expect,
}

impl Target {
    /// The workload's request, to this path.
    pub(super) fn request(&self, path: &str) -> Request<Full<Bytes>> {
        client::request(self.address, path, self.payload.as_ref())
    }

    /// What is wrong with this answer.
    pub(super) fn wrong(&self, answer: &client::Answer) -> Option<String> {
        client::wrong(answer, &self.expect, self.payload.as_ref())
    }

    /// The whole address.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

/// A contender's processes. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) target: Target,
    log: PathBuf,
    started: Instant,
}

impl<'a> Starter<'a> {
    pub(super) fn new(spec: &'a Spec, binaries: &Path, tools: &Path) -> Result<Self, String> {
        let absolute = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("cannot find {}: {error}", path.display()))
        };
        let work = tempfile::Builder::new().prefix("bench-").tempdir();
        let work = work.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let (binaries, tools) = (absolute(binaries)?, absolute(tools)?);
        Ok(Self { spec, binaries, tools, work, prepared: BTreeSet::new(), port: FIRST_PORT })
    }

    /// A folder for files of the benchmark's own.
    pub(super) fn folder(&self) -> &Path {
        self.work.path()
    }

    /// A string of a contender's that names folders alone.
    pub(super) fn expand(&self, text: &str) -> String {
        text.replace("{binaries}", &self.binaries.to_string_lossy())
            .replace("{tools}", &self.tools.to_string_lossy())
    }

    /// Starts a contender, pinned to the servers' processor if `pinned`, to both otherwise, and returns at once.
    pub(super) fn start(
        &mut self,
        contender: &Contender,
        workload: &Workload,
        pinned: bool,
    ) -> Result<Server, String> {
        let words = self.words(contender, workload)?;
        for step in &contender.prepare {
            let command: Vec<String> = step.command.iter().map(|word| words.expand(word)).collect();
            self.prepare(command, words.expand_all(&step.env), &words.sources)?;
        }
        let with = contender.with.get(&workload.name);
        let arguments = with.and_then(|with| with.arguments.as_ref()).unwrap_or(&contender.arguments);
        let mut env = self.spec.env.clone();
        env.extend(contender.env.clone());
        env.extend(workload.env.clone());
        env.extend(with.map(|with| with.env.clone()).unwrap_or_default());
        let log = self.work.path().join(format!("{}.log", contender.name));
        let output =
            File::create(&log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut command = match pinned {
            true => on_cpu(&[SERVER_CPU], "setpriv"),
            // This process is pinned, and what it starts would be too.
            false => on_cpu(&[SERVER_CPU, CLIENT_CPU], "setpriv"),
        };
        command
            // A session of its own tells its processes from all others; it is not to outlive this one.
            .args(["--pdeathsig", "KILL", "setsid"])
            .args(contender.command.iter().chain(arguments).map(|word| words.expand(word)))
            .envs(words.expand_all(&env))
            // What an ended server leaves behind goes with everything else.
            .env("TMPDIR", &words.work)
            .current_dir(&words.sources)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("cannot start {}: {error}", contender.name))?;
        let path = contender.paths.get(&workload.name).cloned().unwrap_or_else(|| "/".to_owned());
        let target = Target {
            address: (Ipv4Addr::LOCALHOST, words.port).into(),
            path,
            payload: workload.body.map(Payload::from),
            expect: workload.expect.clone(),
        };
        Ok(Server { child, target, log, started })
    }

    fn words(&mut self, contender: &Contender, workload: &Workload) -> Result<Words, String> {
        let sources = self.spec.folder.join(&contender.sources);
        let sources = fs::canonicalize(&sources)
            .map_err(|error| format!("contender \"{}\": {}: {error}", contender.name, sources.display()))?;
        let shared = if contender.work.is_empty() { &contender.name } else { &contender.work };
        let work = self.work.path().join(shared).join(&workload.function);
        fs::create_dir_all(&work).map_err(|error| format!("cannot make {}: {error}", work.display()))?;
        Ok(Words {
            port: self.free_port()?,
            function: workload.function.clone(),
            binaries: self.binaries.clone(),
            tools: self.tools.clone(),
            sources,
            work,
        })
    }

    fn free_port(&mut self) -> Result<u16, String> {
        let last = FIRST_PORT + 9_000;
        while self.port < last {
            self.port += 1;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(self.port);
            }
        }
        Err(format!("no port between {FIRST_PORT} and {last} is free"))
    }

    fn prepare(
        &mut self,
        command: Vec<String>,
        env: BTreeMap<String, String>,
        folder: &Path,
    ) -> Result<(), String> {
        let step = (command, env);
        if self.prepared.contains(&step) {
            return Ok(());
        }
        let (program, arguments) = step.0.split_first().ok_or("an empty command")?;
        // Nothing is being measured: compilers may have both processors.
        let mut command = on_cpu(&[SERVER_CPU, CLIENT_CPU], program);
        let output = command.args(arguments).envs(&step.1).current_dir(folder).output();
        let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", step.0.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
        }
        self.prepared.insert(step);
        Ok(())
    }
}

/// What stands for what in a contender's strings.
#[derive(Debug)]
struct Words {
    port: u16,
    function: String,
    binaries: PathBuf,
    tools: PathBuf,
    sources: PathBuf,
    work: PathBuf,
}

impl Words {
    fn expand(&self, text: &str) -> String {
        text.replace("{port}", &self.port.to_string())
            .replace("{function}", &self.function)
            .replace("{Function}", &capital(&self.function))
            .replace("{binaries}", &self.binaries.to_string_lossy())
            .replace("{tools}", &self.tools.to_string_lossy())
            .replace("{sources}", &self.sources.to_string_lossy())
            .replace("{work}", &self.work.to_string_lossy())
    }

    fn expand_all(&self, env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        env.iter().map(|(name, value)| (name.clone(), self.expand(value))).collect()
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// A command that stays on these processors, with all that it starts.
pub(super) fn on_cpu(cpus: &[usize], program: &str) -> Command {
    let list: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(list.join(",")).arg(program);
    command
}

impl Server {
    /// Waits until the server gives the answer that is expected; how long that took from its start. An answer that
    /// still differs when patience ends is an error, and so is a server that ends.
    pub(super) fn until_answering(&mut self, runtime: &Runtime) -> Result<Duration, String> {
        let path = self.target.path.clone();
        loop {
            let answer = runtime.block_on(client::call_once(&self.target, &path, PATIENCE));
            let problem = match answer.map(|answer| self.target.wrong(&answer)) {
                Ok(None) => return Ok(self.started.elapsed()),
                Ok(Some(wrong)) => wrong,
                Err(error) => error,
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended ({status}): {}", self.last_words()));
            }
            if self.started.elapsed() > PATIENCE {
                return Err(format!("{problem}: {}", self.last_words()));
            }
            runtime.block_on(async { tokio::time::sleep(POLL).await });
        }
    }

    /// Waits for the end of a program that ends by itself, and successfully; how long that took.
    pub(super) fn until_ended(&mut self) -> Result<Duration, String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let took = self.started.elapsed();
        if status.success() { Ok(took) } else { Err(format!("it ended ({status}): {}", self.last_words())) }
    }

    /// Whether the answer is still as it should be. When it comes, a server that takes connections in their order has
    /// worked off what the last round has left behind.
    pub(super) fn verify(&self, runtime: &Runtime) -> Result<(), String> {
        let answer = runtime.block_on(client::call_once(&self.target, &self.target.path, PATIENCE))?;
        self.target.wrong(&answer).map_or(Ok(()), Err)
    }

    /// The session that its processes belong to.
    pub(super) fn session(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn last_words(&self) -> String {
        let text = fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        tree::end(self.session());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_what_they_name() {
        let words = Words {
            port: 21_007,
            function: "echo".to_owned(),
            binaries: "/b".into(),
            tools: "/t".into(),
            sources: "/s".into(),
            work: "/w".into(),
        };
        assert_eq!(
            words.expand("{binaries}/x {tools} {sources} {work} {Function}={function}:{port} {other}"),
            "/b/x /t /s /w Echo=echo:21007 {other}"
        );
    }
}
