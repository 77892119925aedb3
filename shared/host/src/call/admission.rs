//! Who may run now, who waits, and who is turned away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use contract::Place;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::Instant,
};

use super::place::{CallState, Slot};
use crate::{config::CallLimits, metrics::Metrics};

/// Why a call did not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// As many calls wait as may.
    Queue(usize),
    /// It waited this long in vain.
    Waited(Duration),
    /// There will be no places any more.
    Closed,
}

/// The places. Closed until [`open`](Self::open): calls that come while the function is being loaded wait in the
/// same queue as those that come when all places are taken.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    size: AtomicUsize,
    waiting: AtomicUsize,
    queue: usize,
    wait: Duration,
    stuck_limit: Option<usize>,
    metrics: Arc<Metrics>,
}

impl Admission {
    pub(crate) fn new(limits: &CallLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(0)),
            size: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            wait: limits.queue_wait,
            stuck_limit: limits.stuck,
            metrics,
        }
    }

    /// Lets `size` calls run at once.
    pub(crate) fn open(&self, size: usize) {
        self.size.store(size, Ordering::Relaxed);
        self.places.add_permits(size);
    }

    /// Lets nobody in any more, nor those who wait.
    pub(crate) fn close(&self) {
        self.places.close();
    }

    /// Takes a place, waiting for one if the queue has room, and never past `deadline`.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<(Place, Arc<CallState>), Full> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            // Boxed: it would make the future of every request larger.
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                Box::pin(self.wait(deadline)).await?
            }
        };
        Ok(Slot::taken(permit, self.metrics.clone()))
    }

    async fn wait(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Full> {
        let _waiting = Waiting::start(self).ok_or(Full::Queue(self.queue))?;
        let started = Instant::now();
        let until = deadline.min(started + self.wait);
        let permit = tokio::time::timeout_at(until, self.places.clone().acquire_owned()).await;
        self.metrics.queue_wait.observe(started.elapsed().as_secs_f64());
        match permit {
            Ok(permit) => permit.map_err(|_| Full::Closed),
            Err(_) => Err(Full::Waited(started.elapsed())),
        }
    }

    /// Whether so many calls are stuck that no new ones should be sent here.
    pub(crate) fn too_many_stuck(&self) -> bool {
        let limit = self.stuck_limit.unwrap_or_else(|| self.size.load(Ordering::Relaxed).div_ceil(2));
        limit > 0 && self.stuck() >= limit
    }

    /// Whether every place is taken by a stuck call: only a restart helps.
    pub(crate) fn all_stuck(&self) -> bool {
        let size = self.size.load(Ordering::Relaxed);
        size > 0 && self.stuck() >= size
    }

    fn stuck(&self) -> usize {
        usize::try_from(self.metrics.stuck.get()).unwrap_or(0)
    }
}

/// One waiting call; counted for as long as it lives.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn start(admission: &'a Admission) -> Option<Self> {
        let room = |waiting| (waiting < admission.queue).then_some(waiting + 1);
        admission.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        admission.metrics.queue_length.inc();
        Some(Self(admission))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.queue_length.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(queue: usize, wait: u64) -> (Arc<Admission>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::for_test());
        let limits = CallLimits {
            timeout: Duration::from_secs(180),
            concurrency: 1,
            queue,
            queue_wait: Duration::from_secs(wait),
            stuck: None,
        };
        (Arc::new(Admission::new(&limits, metrics.clone())), metrics)
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(100)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_until_the_function_is_loaded() {
        let (admission, metrics) = admission(1, 10);
        let first = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(far()).await }
        });
        while metrics.queue_length.get() == 0 {
            tokio::task::yield_now().await;
        }
        admission.open(1);
        let _place = first.await.unwrap().unwrap();
        assert_eq!((metrics.queue_length.get(), metrics.in_flight.get()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_at_once_and_a_long_wait_later() {
        let (admission, metrics) = admission(1, 10);
        admission.open(1);
        let place = admission.enter(far()).await.unwrap();
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(far()).await.map(drop) }
        });
        while metrics.queue_length.get() == 0 {
            tokio::task::yield_now().await;
        }
        let before = Instant::now();
        assert_eq!(admission.enter(far()).await.map(drop), Err(Full::Queue(1)));
        assert_eq!(Instant::now(), before);
        assert_eq!(waiting.await.unwrap(), Err(Full::Waited(Duration::from_secs(10))));
        drop(place);
        assert!(admission.enter(far()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_told_when_there_will_be_no_places() {
        let (admission, metrics) = admission(1, 10);
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(far()).await.map(drop) }
        });
        while metrics.queue_length.get() == 0 {
            tokio::task::yield_now().await;
        }
        admission.close();
        assert_eq!(waiting.await.unwrap(), Err(Full::Closed));
        assert_eq!(admission.enter(far()).await.map(drop), Err(Full::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_past_the_deadline() {
        let (admission, _) = admission(1, 10);
        let waited = admission.enter(Instant::now() + Duration::from_secs(2)).await.map(drop);
        assert_eq!(waited, Err(Full::Waited(Duration::from_secs(2))));
    }
}
