//! A way to a file descriptor that never makes anybody wait: lines gather in memory, and a thread of their own writes
//! them. What a slow reader leaves no room for is dropped and counted.

use std::{
    fs::File,
    io::{self, Write},
    mem,
    os::fd::AsFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// Bytes that may wait for a slow reader, besides as many that are being written.
const ROOM: usize = 8 * 1024 * 1024;

/// One such way. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Shared>);

/// After writing, the thread lets lines gather for this long: waking it for each of many would cost the requests
/// that write them more than the lines themselves. The first line after a silence is written at once.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, and the thread sleeps.
    filled: Condvar,
    /// The pause is over before its time.
    hurry: Condvar,
    /// Everything has been written.
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    asleep: bool,
    hurried: bool,
}

impl Sink {
    /// To the file behind `to`, which is used directly and not through the standard library's locked handles: a
    /// writer that blocks must block nobody else.
    pub(crate) fn start(to: impl AsFd) -> io::Result<Self> {
        Self::to(File::from(to.as_fd().try_clone_to_owned()?))
    }

    /// To a writer that may block.
    pub(crate) fn to(to: impl Write + Send + 'static) -> io::Result<Self> {
        let sink = Self::default();
        let writer = sink.clone();
        thread::Builder::new().name("funchost-log".to_owned()).spawn(move || writer.write_for_ever(to))?;
        Ok(sink)
    }

    /// Takes a whole line.
    fn push(&self, line: &[u8]) {
        self.push_lines(line, || 1);
    }

    /// Takes several whole lines.
    pub(crate) fn relay(&self, lines: &[u8]) {
        self.push_lines(lines, || lines.iter().filter(|byte| **byte == b'\n').count() as u64);
    }

    fn push_lines(&self, line: &[u8], count: impl FnOnce() -> u64) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > ROOM {
            self.0.dropped.fetch_add(count(), Relaxed);
            return;
        }
        let wake = mem::take(&mut state.asleep);
        state.waiting.extend_from_slice(line);
        drop(state);
        if wake {
            self.0.filled.notify_one();
        }
    }

    /// Lines lost so far.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let unwritten = |state: &mut State| state.writing || !state.waiting.is_empty();
        let mut state = self.state();
        state.hurried = true;
        self.0.hurry.notify_one();
        drop(self.0.emptied.wait_timeout_while(state, patience, unwritten));
    }

    fn write_for_ever(&self, mut file: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state();
            state.writing = false;
            if state.waiting.is_empty() {
                self.0.emptied.notify_all();
            }
            let pausing = |state: &mut State| !state.hurried;
            state = match self.0.hurry.wait_timeout_while(state, PAUSE, pausing) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            while state.waiting.is_empty() {
                state.asleep = true;
                state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep = false;
            mem::swap(&mut batch, &mut state.waiting);
            state.writing = true;
            drop(state);
            if file.write_all(&batch).is_err() {
                let lines = batch.iter().filter(|byte| **byte == b'\n').count();
                self.0.dropped.fetch_add(lines as u64, Relaxed);
            }
            batch.clear();
            // One flood must not hold its memory for ever.
            batch.shrink_to(64 * 1024);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each call of `write` is one line: that is how the log's formatter uses it.
impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn lines_arrive_in_order_and_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(&writer).unwrap();
        drop(writer);
        (0..1000).for_each(|n| sink.push(format!("line {n}\n").as_bytes()));
        let mut text = [0; 8890];
        reader.read_exact(&mut text).unwrap();
        sink.flush(Duration::from_secs(30));
        let expected: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(sink.dropped_lines(), 0);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (_reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(&writer).unwrap();
        let line = [b'a'; 64 * 1024];
        let fit = 2 * (ROOM / line.len()) as u64 + 1;
        (0..1000).for_each(|_| sink.push(&line));
        assert!(sink.dropped_lines() >= 1000 - fit, "{}", sink.dropped_lines());
        sink.flush(Duration::from_millis(1));
    }

    #[test]
    fn lines_that_nobody_can_read_any_more_are_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(&writer).unwrap();
        drop(reader);
        sink.push(b"one\ntwo\n");
        sink.flush(Duration::from_secs(30));
        assert_eq!(sink.dropped_lines(), 2);
    }
}
