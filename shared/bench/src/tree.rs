//! What a server's processes take together, as the system counts it.
//!
//! A server's processes are those of its session, and what descends from them.

use std::{
    collections::BTreeSet,
    fs,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What Linux counts processor time in, for programs: hundredths of a second on every machine.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// How often the memory of a server under load is looked at.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    /// Its own, and that of children that have ended and been waited for.
    ticks: u64,
}

/// Reads a line of `/proc/<pid>/stat`. The second field is the program's name, which may hold spaces and parentheses.
fn process(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    // From the third field, the state, on.
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields[1].parse().ok()?,
        session: fields[3].parse().ok()?,
        ticks,
    })
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| process(&fs::read_to_string(entry.path().join("stat")).ok()?))
        .collect()
}

fn members(all: &[Process], session: i32) -> BTreeSet<i32> {
    // A leader that is about to make its session belongs to it as well.
    let first = all.iter().filter(|process| process.session == session || process.pid == session);
    let mut members: BTreeSet<i32> = first.map(|process| process.pid).collect();
    loop {
        let before = members.len();
        members.extend(all.iter().filter(|p| members.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>());
        if members.len() == before {
            return members;
        }
    }
}

/// Processor time of a session's processes, living and gone, in seconds.
pub(super) fn cpu_seconds(session: i32) -> f64 {
    let all = all();
    let members = members(&all, session);
    let ticks: u64 = all.iter().filter(|process| members.contains(&process.pid)).map(|p| p.ticks).sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// Ends all processes of a session at once.
pub(super) fn end(session: i32) {
    for pid in members(&all(), session) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Memory of a session's processes in MiB: of pages that several processes share each has its part.
pub(super) fn memory_mib(session: i32) -> f64 {
    sum_kib(session, "smaps_rollup", "Pss:") / 1024.0
}

fn rss_mib(session: i32) -> f64 {
    sum_kib(session, "status", "VmRSS:") / 1024.0
}

fn sum_kib(session: i32, file: &str, field: &str) -> f64 {
    let of = |pid: i32| kib(&fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default(), field);
    members(&all(), session).into_iter().filter_map(of).sum()
}

fn kib(text: &str, field: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// Looks at a session's memory until it is asked for the most that there was.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<f64>,
}

impl Watch {
    /// Starts looking.
    pub(super) fn start(session: i32) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut most = rss_mib(session);
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                most = rss_mib(session).max(most);
            }
            most.max(rss_mib(session))
        });
        Self { stop, thread }
    }

    /// The most since the start, in MiB.
    pub(super) fn peak_rss_mib(self) -> f64 {
        drop(self.stop);
        self.thread.join().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "812 (a) b (c) S 7 812 700 0 -1 4194560 1 2 3 4 250 50 30 20 20 0 4 0 123 456 789";

    #[test]
    fn a_program_may_be_called_anything() {
        assert_eq!(process(STAT), Some(Process { pid: 812, parent: 7, session: 700, ticks: 350 }));
        assert_eq!(process("812 (cut"), None);
        assert_eq!(process(""), None);
    }

    #[test]
    fn descendants_belong_to_a_session_that_they_have_left() {
        let process = |pid, parent, session| Process { pid, parent, session, ticks: 0 };
        let all = [process(1, 0, 1), process(5, 4, 5), process(4, 3, 3), process(3, 1, 3), process(6, 1, 6)];
        assert_eq!(members(&all, 3), BTreeSet::from([3, 4, 5]));
        let early = [process(1, 0, 1), process(8, 1, 1), process(9, 8, 1)];
        assert_eq!(members(&early, 8), BTreeSet::from([8, 9]));
    }

    #[test]
    fn sizes_are_found_by_their_names() {
        assert_eq!(kib("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
    }
}
