//! Host processes as tests see them: a binary, a mount, an environment, lines of output, an exit status.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::Client;

/// How long anything that a test waits for may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition without an event of its own is looked at again.
const POLL: Duration = Duration::from_millis(5);

/// A folder to be mounted as `/kubeless` is, gone with the test.
#[derive(Debug)]
pub struct Mount(TempDir);

impl Mount {
    /// An empty mount.
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("mount-").tempdir().expect("a temporary folder"))
    }

    /// A mount with one file.
    pub fn with(path: &str, text: &str) -> Self {
        Self::new().file(path, text)
    }

    /// A mount with a copy of all that is in `folder`, so that a test may change it.
    pub fn copy_of(folder: &Path) -> Self {
        let mount = Self::new();
        copy(folder, mount.path());
        mount
    }

    /// Adds a file; folders on the way to it are made.
    #[must_use]
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(path);
        let folder = path.parent().expect("a path inside the mount");
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).expect("a file in the mount");
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Default for Mount {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder in the mount");
    for entry in fs::read_dir(from).expect("the folder to copy") {
        let entry = entry.expect("an entry of the folder to copy");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}

/// A host about to be started. The environment is empty but for `PATH`, `HOME` and what the test adds; the host
/// listens on a free port of the loopback address and drains without delay. `FUNC_ISOLATION` and `FUNC_WORKERS` are
/// handed on, so that all tests can be run in either mode.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    stdout: Option<Arc<OwnedFd>>,
}

impl Launch {
    /// Of this binary.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), variables: BTreeMap::new(), stdout: None }
            .inherit("PATH")
            .inherit("HOME")
            .inherit("LD_LIBRARY_PATH")
            .inherit("FUNC_ISOLATION")
            .inherit("FUNC_WORKERS")
            .env("FUNC_ADDRESS", "127.0.0.1")
            .env("FUNC_PORT", "0")
            .env("DRAIN_DELAY", "0")
            .env("FUNC_TERMINATION_LOG", "/nonexistent")
    }

    /// Hands on a variable of the test's own environment, if it is set.
    #[must_use]
    pub fn inherit(self, name: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's own surroundings, not a host's configuration"
        )]
        let value = std::env::var_os(name);
        match value {
            Some(value) => self.env(name, value),
            None => self,
        }
    }

    /// Runs the function in the host's own process, unless the environment of the test says otherwise: for tests that
    /// are about the language and the server, and hold in either mode.
    #[must_use]
    pub fn in_threads(mut self) -> Self {
        self.variables.entry("FUNC_ISOLATION".into()).or_insert_with(|| "thread".into());
        self
    }

    /// The binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The environment that the process gets.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Serves `module.function` from `root`.
    #[must_use]
    pub fn function(self, root: &Path, module: &str, function: &str) -> Self {
        self.env("MOD_ROOT_PATH", root).env("MOD_NAME", module).env("FUNC_HANDLER", function)
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Leaves a variable out.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// Has standard output written to `to` instead of being collected.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<OwnedFd>) -> Self {
        self.stdout = Some(Arc::new(to.into()));
        self
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Starts the process and returns at once.
    pub fn spawn(&self) -> HostProcess {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(self.where_stdout_goes())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, Source::Stdout, &output);
        }
        collect(child.stderr.take().expect("a pipe"), Source::Stderr, &output);
        HostProcess { child, output, address: None }
    }

    fn where_stdout_goes(&self) -> Stdio {
        match &self.stdout {
            Some(to) => to.try_clone().expect("a file descriptor").into(),
            None => Stdio::piped(),
        }
    }

    /// Starts the process and waits until it says it is ready; panics with its output when it ends instead.
    pub fn start(&self) -> HostProcess {
        let mut host = self.spawn();
        host.wait_until_bound();
        let client = host.client();
        host.wait_until("ready", |_| client.try_get("/readyz").is_ok_and(|answer| answer.status == 200));
        host
    }

    /// Starts the process and waits for its end.
    pub fn run(&self) -> Finished {
        self.spawn().wait()
    }
}

/// Which of the process's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Vec<(Source, String)>>,
    more: Condvar,
}

impl Output {
    fn lines(&self) -> MutexGuard<'_, Vec<(Source, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, wanted: Source) -> String {
        self.lines()
            .iter()
            .filter(|(source, _)| *source == wanted)
            .map(|(_, line)| format!("{line}\n"))
            .collect()
    }
}

fn collect(pipe: impl Read + Send + 'static, source: Source, output: &Arc<Output>) {
    let output = output.clone();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            output.lines().push((source, text));
            output.more.notify_all();
            line.clear();
        }
    });
}

/// A running host. Dropping it kills it.
pub struct HostProcess {
    child: Child,
    output: Arc<Output>,
    address: Option<SocketAddr>,
}

impl HostProcess {
    /// Where it listens; known once [`Launch::start`] returned.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the host has said where it listens")
    }

    /// A client of this host.
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that has been written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output.text(Source::Stdout)
    }

    /// All that has been written to standard error so far.
    pub fn stderr(&self) -> String {
        self.output.text(Source::Stderr)
    }

    /// The processes that it has started, as the system knows them.
    pub fn children(&self) -> Vec<Pid> {
        children_of(self.pid())
    }

    /// Waits until something is so that comes without a line of output; returns how long that took.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
        let since = Instant::now();
        while !holds() {
            assert!(since.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}\n{self:?}");
            self.pause();
        }
        since.elapsed()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        signal::kill(pid, signal).expect("the process takes signals");
    }

    /// Waits for a line, on either stream, that holds `text`.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let has = |lines: &[(Source, String)]| lines.iter().find(|line| line.1.contains(text)).cloned();
        let mut found = None;
        self.wait_until(&format!("a line with {text:?}"), |lines| {
            found = has(lines);
            found.is_some()
        });
        found.map(|line| line.1).unwrap_or_default()
    }

    /// Waits until the host has written nothing for `time`: for tests that show that something does not happen.
    pub fn wait_for_quiet(&self, time: Duration) {
        let mut lines = self.output.lines();
        loop {
            let before = lines.len();
            let (guard, waited) =
                self.output.more.wait_timeout(lines, time).unwrap_or_else(PoisonError::into_inner);
            lines = guard;
            if waited.timed_out() && lines.len() == before {
                return;
            }
        }
    }

    /// Waits until the host has said where it listens.
    pub fn wait_until_bound(&mut self) -> SocketAddr {
        let mut address = None;
        self.wait_until("bound", |lines| {
            address =
                lines.iter().filter(|line| line.1.contains("listening")).find_map(|line| socket(&line.1));
            address.is_some()
        });
        self.address = address;
        self.address()
    }

    /// Waits for the process to end by itself.
    pub fn wait(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                // The readers see the end of the pipes right after the process; let them write down the rest.
                while Arc::strong_count(&self.output) > 1 && Instant::now() < deadline {
                    self.pause();
                }
                return Finished { code: status.code(), stdout: self.stdout(), stderr: self.stderr() };
            }
            assert!(Instant::now() < deadline, "the host did not end within {PATIENCE:?}\n{self:?}");
            self.pause();
        }
    }

    /// Ends the host as Kubernetes does and waits for it.
    pub fn stop(self) -> Finished {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&[(Source, String)]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("a child to wait for");
            let lines = self.output.lines().clone();
            if holds(&lines) {
                return;
            }
            assert!(ended.is_none(), "the host ended ({ended:?}) before it was {what}\n{self:?}");
            assert!(Instant::now() < deadline, "not {what} within {PATIENCE:?}\n{self:?}");
            self.pause();
        }
    }

    /// Until there is more output, or for a moment: not every condition comes with a line.
    fn pause(&self) {
        drop(self.output.more.wait_timeout(self.output.lines(), POLL));
    }
}

impl fmt::Debug for HostProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout(), self.stderr())
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The living children of a process.
fn children_of(parent: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold anything, come the state and the parent.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.next().is_some_and(|state| state != "Z") && fields.next() == Some(parent.to_string().as_str())
    };
    numbers.filter(is_child).map(Pid::from_raw).collect()
}

/// Whether a process has ended, reaped or not.
pub fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().split_whitespace().next().is_none_or(|state| state == "Z")
}

/// The first address with a port in a line of text or JSON.
fn socket(line: &str) -> Option<SocketAddr> {
    line.split(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)))
        .find_map(|word| word.trim_start_matches(':').parse().ok())
}

/// A host that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit status, `None` when a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        Launch::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn output_and_exit_status_are_collected() {
        let finished = shell("echo one; echo two >&2; printf three; exit 7").run();
        assert_eq!(finished.code, Some(7));
        assert_eq!(finished.stdout, "one\nthree\n");
        assert_eq!(finished.stderr, "two\n");
    }

    #[test]
    fn the_address_is_read_from_text_and_from_json() {
        for line in [
            "listening on http://127.0.0.1:4711",
            r#"{"time":"07:22:01","message":"listening","address":"127.0.0.1:4711"}"#,
        ] {
            assert_eq!(socket(line), Some(([127, 0, 0, 1], 4711).into()), "{line}");
        }
        assert_eq!(socket("listening on [::1]:80").unwrap().port(), 80);
        assert_eq!(socket("listening soon"), None);
    }

    #[test]
    fn a_dropped_process_is_killed() {
        let mut host = shell("echo started; exec sleep 600").spawn();
        host.wait_for_line("started");
        let pid = Pid::from_raw(host.pid().try_into().unwrap());
        drop(host);
        assert!(signal::kill(pid, None).is_err(), "process {pid} is still there");
    }

    #[test]
    #[should_panic(expected = "the host ended")]
    fn a_process_that_ends_early_is_noticed() {
        shell("echo broken >&2; exit 1").start();
    }
}
