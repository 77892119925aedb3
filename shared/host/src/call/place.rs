//! A taken place, and the watch over those that are not given back.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use contract::Place;
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::Metrics;

const RUNNING: u8 = 0;
const STUCK: u8 = 1;
const DONE: u8 = 2;

/// Whether a call's user code still runs; shared by the call and whoever watches it.
#[derive(Debug, Default)]
pub(crate) struct CallState(AtomicU8);

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
        let state = Arc::new(CallState::default());
        (Place::new(Self { _permit: permit, state: state.clone(), metrics }), state)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.state.0.swap(DONE, Ordering::AcqRel) == STUCK {
            self.metrics.stuck.dec();
        }
        self.metrics.in_flight.dec();
    }
}

impl CallState {
    /// Counts the call as stuck if its user code still runs; whether it does.
    pub(super) fn mark_stuck(&self, metrics: &Metrics) -> bool {
        // Counted first: the slot may be dropped on another thread right after the exchange.
        metrics.stuck.inc();
        let stuck = self.0.compare_exchange(RUNNING, STUCK, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !stuck {
            metrics.stuck.dec();
        }
        stuck
    }
}
