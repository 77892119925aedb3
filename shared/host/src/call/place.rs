//! A taken place, and the watch over those that are not given back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use contract::{Hold, Place};
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::Metrics;

const RUNNING: u8 = 0;
const STUCK: u8 = 1;
const DONE: u8 = 2;

/// Whether a call's user code still runs, and what it has cost; shared by the call and whoever watches it.
#[derive(Debug)]
pub(crate) struct CallState {
    progress: AtomicU8,
    /// Nanoseconds of processor time; `UNKNOWN` until somebody says so.
    cpu: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

/// What a [`Place`] holds: given back when the engine drops it.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    state: Arc<CallState>,
    metrics: Arc<Metrics>,
}

impl Slot {
    /// Turns a permit into a place and the view on it.
    pub(super) fn taken(permit: OwnedSemaphorePermit, metrics: Arc<Metrics>) -> (Place, Arc<CallState>) {
        metrics.in_flight.inc();
        let state = Arc::new(CallState { progress: AtomicU8::new(RUNNING), cpu: AtomicU64::new(UNKNOWN) });
        (Place::new(Self { _permit: permit, state: state.clone(), metrics }), state)
    }
}

impl Hold for Slot {
    fn spent(&self, cpu: Duration) {
        let nanoseconds = u64::try_from(cpu.as_nanos()).unwrap_or(UNKNOWN - 1);
        self.state.cpu.store(nanoseconds, Ordering::Relaxed);
        self.metrics.cpu_seconds.inc_by(cpu.as_secs_f64());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.state.progress.swap(DONE, Ordering::AcqRel) == STUCK {
            self.metrics.stuck.dec();
        }
        self.metrics.in_flight.dec();
    }
}

impl CallState {
    /// The processor time that the call has taken, when that is known by now.
    pub(super) fn cpu(&self) -> Option<Duration> {
        Some(self.cpu.load(Ordering::Relaxed)).filter(|ns| *ns != UNKNOWN).map(Duration::from_nanos)
    }

    /// Counts the call as stuck if its user code still runs; whether it does.
    pub(super) fn mark_stuck(&self, metrics: &Metrics) -> bool {
        // Counted first: the slot may be dropped on another thread right after the exchange.
        metrics.stuck.inc();
        let stuck =
            self.progress.compare_exchange(RUNNING, STUCK, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !stuck {
            metrics.stuck.dec();
        }
        stuck
    }
}
