//! Worker processes as the operating system sees them: started, watched, killed, reaped.
//!
//! A worker's end of the link is its standard input, which needs no code between fork and exec; it moves it out of
//! reach as the first thing it does. Each worker leads a process group, so that what user code has started dies with
//! it.

use std::{
    collections::HashMap,
    fmt, io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};
use tokio::sync::{oneshot, watch};

use super::MARK;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exited {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(Signal),
    /// By a signal that has only a number.
    OtherSignal,
}

/// Reads after "the worker".
impl fmt::Display for Exited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with exit status {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {} ({signal})", *signal as i32),
            Self::OtherSignal => f.write_str("was killed by a real-time signal"),
        }
    }
}

/// A process of ours. It may have ended.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    exited: watch::Sender<Option<Exited>>,
}

impl Process {
    /// Kills it and all of its group. The number is still its own: it is reaped under the same lock in which this is
    /// noted down.
    pub(super) fn kill(&self) {
        self.exited.send_if_modified(|exited| {
            if exited.is_none() {
                let _ = killpg(self.pid, Signal::SIGKILL);
            }
            false
        });
    }

    /// Waits for its end.
    pub(super) async fn exited(&self) -> Exited {
        let mut exited = self.exited.subscribe();
        // The sender lives in `self`.
        let seen = exited.wait_for(Option::is_some).await;
        seen.ok().and_then(|seen| *seen).unwrap_or(Exited::Code(0))
    }
}

/// A process that has just been started, and what it is connected by.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Arc<Process>,
    pub(super) link: UnixStream,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

type Request = oneshot::Sender<io::Result<Started>>;

/// Starts processes and reaps them.
#[derive(Debug)]
pub(super) struct Processes {
    start: mpsc::Sender<Request>,
}

#[derive(Debug, Default)]
struct Table {
    known: Mutex<HashMap<Pid, Arc<Process>>>,
    more: Condvar,
}

impl Table {
    fn known(&self) -> MutexGuard<'_, HashMap<Pid, Arc<Process>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker that a signal without a name has killed: such a status cannot be read, only found again.
    fn killed_by_unnamed(&self) -> Option<Pid> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        self.known().keys().copied().find(|pid| waitid(Id::Pid(*pid), flags) == Err(Errno::EINVAL))
    }
}

impl Processes {
    /// Starts the two threads that this takes. They last as long as the process.
    pub(super) fn new() -> io::Result<Self> {
        let table = Arc::new(Table::default());
        let (start, requests) = mpsc::channel::<Request>();
        let starting = table.clone();
        // A worker dies with the thread that has started it (PR_SET_PDEATHSIG), so that thread must not end.
        thread::Builder::new().name("funchost-start".to_owned()).spawn(move || {
            for request in requests {
                let _ = request.send(start_one(&starting));
            }
        })?;
        thread::Builder::new().name("funchost-reap".to_owned()).spawn(move || reap(&table))?;
        Ok(Self { start })
    }

    /// Starts a worker.
    pub(super) async fn start(&self) -> io::Result<Started> {
        let (request, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts workers has ended");
        self.start.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn start_one(table: &Table) -> io::Result<Started> {
    let (link, other) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
        .args([MARK, &std::process::id().to_string()])
        .stdin(OwnedFd::from(other))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // Held until the process is in the table: it may end before that.
    let mut known = table.known();
    let mut child = command.spawn()?;
    let pid = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
    let process = Arc::new(Process { pid, exited: watch::Sender::new(None) });
    known.insert(pid, process.clone());
    table.more.notify_one();
    drop(known);
    let pipe = || io::Error::other("a pipe is missing");
    Ok(Started {
        process,
        link,
        stdout: child.stdout.take().ok_or_else(pipe)?.into(),
        stderr: child.stderr.take().ok_or_else(pipe)?.into(),
    })
}

/// Reaps every child, also those that others have left to us because we are the first process of a container.
fn reap(table: &Table) {
    loop {
        // Looked at first and reaped later: until then nobody else can get the number.
        let looked = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let (pid, exited) = match looked {
            Ok(WaitStatus::Exited(pid, code)) => (Some(pid), Exited::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (Some(pid), Exited::Signal(signal)),
            Err(Errno::ECHILD) => {
                drop(table.more.wait_while(table.known(), |known| known.is_empty()));
                continue;
            }
            Err(Errno::EINVAL) => (table.killed_by_unnamed(), Exited::OtherSignal),
            Ok(_) | Err(_) => continue,
        };
        let process = pid.and_then(|pid| table.known().remove(&pid));
        match process {
            Some(process) => {
                process.exited.send_modify(|seen| {
                    // What it has started and left behind.
                    let _ = killpg(process.pid, Signal::SIGKILL);
                    let _ = waitpid(process.pid, None);
                    *seen = Some(exited);
                });
            }
            None => drop(waitpid(pid, None)),
        }
    }
}
