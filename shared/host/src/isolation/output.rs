//! What a worker writes to its standard output and standard error behind the engine's back: C libraries, other
//! processes that it starts, the last words of a runtime that dies.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{OutputStream, output::Lines};
use prometheus::IntCounter;
use tokio::net::unix::pipe;

use crate::log::worker_line;

/// Bytes of the last lines that are kept to tell why a worker has died.
const KEPT: usize = 4 * 1024;

/// Bytes that one stream may bring per second, and as many more at once. Beyond that lines are dropped and counted:
/// the pipe is always read, so nobody is made to wait, and a flood leaves room for what others have to say.
const FLOOD: f64 = 4.0 * 1024.0 * 1024.0;

/// The last lines of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &str) {
        let mut lines = self.lines();
        lines.push_back(super::frame::beginning(line, KEPT).to_owned());
        while lines.iter().map(String::len).sum::<usize>() > KEPT {
            lines.pop_front();
        }
    }

    /// The lines, one below the other.
    pub(super) fn text(&self) -> String {
        let lines: Vec<String> = self.lines().iter().cloned().collect();
        lines.join("\n")
    }
}

/// Reads `from` to its end and writes it to the log, line by line.
pub(super) async fn relay(
    from: OwnedFd,
    stream: OutputStream,
    worker: u64,
    tail: Tail,
    dropped: IntCounter,
) -> io::Result<()> {
    let from = pipe::Receiver::from_owned_fd(from)?;
    let (mut lines, mut flood) = (Lines::default(), Flood::new(Instant::now()));
    let mut line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        tail.add(&text);
        if flood.admits(bytes.len() + 1, Instant::now()) {
            worker_line(stream, worker, &text);
        } else {
            dropped.inc();
        }
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        from.readable().await?;
        match from.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => lines.write(&buffer[..read], &mut line),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    lines.finish(line);
    Ok(())
}

/// What a worker may write: a bucket that fills with the time and empties with the bytes.
pub(super) struct Flood {
    room: f64,
    since: Instant,
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        Self { room: FLOOD, since: now }
    }

    /// Whether so many bytes fit.
    pub(super) fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.since);
        self.room = (self.room + passed.as_secs_f64() * FLOOD).min(FLOOD);
        self.since = now;
        let fits = bytes as f64 <= self.room;
        if fits {
            self.room -= bytes as f64;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_what_follows_it_is_not() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let passed = (0..1000).filter(|_| flood.admits(64 * 1024, start)).count();
        assert_eq!(passed, 64);
        assert!(!flood.admits(64 * 1024, start));
        assert!(flood.admits(64 * 1024, start + Duration::from_millis(100)));
    }

    #[test]
    fn the_last_lines_are_kept_and_not_the_first() {
        let tail = Tail::default();
        (0..10_000).for_each(|n| tail.add(&format!("line {n}")));
        let text = tail.text();
        assert!(text.len() <= 2 * KEPT && text.ends_with("line 9999"), "{text}");
    }
}
