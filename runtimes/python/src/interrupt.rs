//! Stopping handlers that nobody waits for any more.
//!
//! Python code can be interrupted between two bytecodes by an exception from outside. What blocks in C code (a
//! `time.sleep`, a database driver) cannot; it keeps its thread and its place until it comes back. A handler may
//! also swallow the exception. So an interruption is repeated with growing gaps, and given up in the end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use crate::{
    call::{Call, Stage},
    engine::Shared,
};

/// The gap before the second attempt; each one after that is twice as long.
const FIRST_GAP: Duration = Duration::from_millis(50);

/// With the gaps doubling, the last attempt comes after a minute or so.
const ATTEMPTS: u32 = 11;

/// Asks for interruptions.
#[derive(Clone)]
pub(crate) struct Interrupter(Sender<Request>);

struct Request {
    call: Arc<Call>,
    due: Instant,
}

/// The requests' other end, until the thread that serves them is started.
pub(crate) struct Requests(Receiver<Request>);

impl Interrupter {
    pub(crate) fn new() -> (Self, Requests) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), Requests(receiver))
    }

    /// Stops a call's user code as soon as possible.
    pub(crate) fn stop(&self, call: &Arc<Call>) {
        self.stop_after(call, Duration::ZERO);
    }

    /// Stops a call's user code unless it has come to its end by itself within `grace`.
    pub(crate) fn stop_after(&self, call: &Arc<Call>, grace: Duration) {
        if call.stop() {
            // The thread lives as long as the process.
            let _ = self.0.send(Request { call: call.clone(), due: Instant::now() + grace });
        }
    }
}

impl Requests {
    /// Serves requests for as long as anybody can make them.
    pub(crate) fn serve(self, shared: &Arc<Shared>) {
        let mut waiting = BTreeMap::<(Instant, u64), (Arc<Call>, u32)>::new();
        loop {
            let first = waiting.first_key_value().map(|((due, _), _)| *due);
            let received = match first {
                Some(due) => self.0.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => self.0.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Request { call, due }) => {
                    waiting.insert((due, call.number), (call, 0));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
                let (call, attempt) = entry.remove();
                if call.stage() == Stage::Over {
                    continue;
                }
                shared.interrupt(&call, attempt);
                if attempt + 1 < ATTEMPTS {
                    let due = Instant::now() + FIRST_GAP * 2_u32.pow(attempt);
                    waiting.insert((due, call.number), (call, attempt + 1));
                }
            }
        }
    }
}
