//! What all connections share: places, metrics, phases.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::broken;
use crate::config::Config;
use crate::metrics::Metrics;

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) is_ready: AtomicBool,
    pub(crate) is_draining: AtomicBool,
    pub(crate) failures: AtomicUsize,
    pub(crate) was_ready: AtomicBool,
    pub(crate) calls: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    answers: AtomicUsize,
    places: Mutex<Places>,
    freed: Condvar,
}

#[derive(Default)]
struct Places {
    running: usize,
    waiting: usize,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            metrics: Metrics::default(),
            is_ready: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            was_ready: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            places: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many functions run.
    pub(crate) fn running(&self) -> usize {
        self.places().running
    }

    /// Whether a request is being answered.
    pub(crate) fn answering(&self) -> bool {
        self.answers.load(Ordering::SeqCst) > 0
    }

    /// A request is being answered until this is dropped.
    pub(crate) fn answer(&self) -> Answer<'_> {
        self.answers.fetch_add(1, Ordering::SeqCst);
        Answer(self)
    }

    /// A place, or the status to answer with.
    pub(crate) fn enter(&'static self) -> Result<Place, u16> {
        let most = match () {
            () if broken("concurrency.5/one-at-a-time") => 1000,
            () if broken("concurrency.1/second-overtakes-first") || broken("concurrency.1/eight-at-once") => {
                1
            }
            () => self.config.concurrency,
        };
        let full = if broken("concurrency.3/full-is-503") { 429 } else { 503 };
        let mut places = self.places();
        if places.running >= most {
            let queue = if broken("concurrency.4/queue-holds-calls") { 0 } else { self.config.queue };
            if places.waiting >= queue {
                return Err(full);
            }
            places.waiting += 1;
            let end = Instant::now() + self.config.queue_wait;
            while places.running >= most {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    places.waiting -= 1;
                    return Err(if broken("concurrency.4/queue-has-an-end") { 500 } else { 503 });
                }
                places = self.freed.wait_timeout(places, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            places.waiting -= 1;
        }
        places.running += 1;
        Ok(Place(self))
    }
}

/// Held while a function runs.
pub(crate) struct Place(&'static State);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places().running -= 1;
        self.0.freed.notify_one();
    }
}

pub(crate) struct Answer<'a>(&'a State);

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::SeqCst);
    }
}
