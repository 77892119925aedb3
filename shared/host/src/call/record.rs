//! What is remembered of one request, and the one place where it is counted and logged, however the request ends.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering},
};

use contract::CallIds;
use http::Method;
use tokio::time::Instant;

use super::place::CallState;
use crate::{log::AccessLine, metrics::Metrics};

/// Shared by everybody who handles the request; when the last of them lets go, the request is over and is recorded.
#[derive(Debug)]
pub(crate) struct Record {
    /// What the request is called.
    pub(crate) ids: CallIds,
    method: Method,
    arrived: Instant,
    /// Boxed, because it is large, and not there when nothing is logged.
    line: Option<Box<AccessLine>>,
    status: AtomicU16,
    bytes: AtomicU64,
    call: OnceLock<(Instant, Arc<CallState>)>,
    outcome: AtomicU8,
    metrics: Arc<Metrics>,
}

impl Record {
    /// A request has arrived. Without a `line` it is counted but not logged.
    pub(crate) fn start(
        arrived: Instant,
        ids: CallIds,
        method: Method,
        line: Option<Box<AccessLine>>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            ids,
            method,
            arrived,
            line,
            status: AtomicU16::new(CLIENT_GONE),
            bytes: AtomicU64::new(0),
            call: OnceLock::new(),
            outcome: AtomicU8::new(Outcome::Fine as u8),
            metrics,
        })
    }

    /// The function is being called: from now on the request counts as a call, and its time runs.
    pub(crate) fn calls_function(&self, state: Arc<CallState>) {
        let _ = self.call.set((Instant::now(), state));
    }

    /// The call went another way than well.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.outcome.store(outcome as u8, Ordering::Relaxed);
    }

    /// The status that the client is told.
    pub(crate) fn answered(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Bytes of the body that were handed to the connection.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// It replied, or its client did not wait.
    Fine,
    /// It failed or ran past its deadline.
    Failed,
    /// The engine refused the request before it reached the function: this is no call.
    Refused,
}

/// Logged when the client left before it was answered, as other servers do.
const CLIENT_GONE: u16 = 499;

impl Drop for Record {
    fn drop(&mut self) {
        let outcome = *self.outcome.get_mut();
        if let Some((started, _)) = self.call.get()
            && outcome != Outcome::Refused as u8
        {
            self.metrics.called(&self.method, started.elapsed(), outcome == Outcome::Failed as u8);
        }
        if let Some(line) = &self.line {
            let cpu = self.call.get().and_then(|(_, state)| state.cpu());
            line.write(
                *self.status.get_mut(),
                *self.bytes.get_mut(),
                (self.arrived.elapsed(), cpu),
                &self.ids,
            );
        }
    }
}
