//! Waking the server's tasks for many answers at once.
//!
//! A wake across threads is a system call, which is dearer than a short call itself. So answers are collected while an
//! isolate works through the calls that it has taken, and one task of the server's, once it is woken, wakes all that
//! wait. User code may never come back, so that task also looks by itself, every few milliseconds, as long as calls run.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;

use crate::pool::Shared;

/// The longest that an answer waits while user code of another call runs.
const PATIENCE: Duration = Duration::from_millis(10);

/// The answers of all isolates.
pub(crate) static ANSWERS: Answers = Answers {
    wakers: Mutex::new(Vec::new()),
    running: AtomicUsize::new(0),
    task: AtomicWaker::new(),
    begun: AtomicWaker::new(),
    start: Once::new(),
};

pub(crate) struct Answers {
    /// Of the tasks whose answers are there.
    wakers: Mutex<Vec<Waker>>,
    /// Calls that have begun and not ended.
    running: AtomicUsize,
    /// The task that wakes the others: from within the runtime that takes no system call.
    task: AtomicWaker,
    /// The same task while no call runs.
    begun: AtomicWaker,
    start: Once,
}

/// Counted among the running calls while it lives.
pub(crate) struct Expected(&'static Answers);

impl Answers {
    /// An answer will come. Called within the server's runtime, and always with the same pool.
    pub(crate) fn expect(&'static self, pool: &Arc<Shared>) -> Expected {
        self.start.call_once(|| {
            tokio::spawn(self.wake_all(pool.clone()));
        });
        if self.running.fetch_add(1, Relaxed) == 0 {
            self.begun.wake();
        }
        Expected(self)
    }

    async fn wake_all(&self, pool: Arc<Shared>) {
        let mut wakers = Vec::new();
        loop {
            poll_fn(|cx| {
                self.begun.register(cx.waker());
                if self.running.load(Relaxed) > 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let look = poll_fn(|cx| {
                self.task.register(cx.waker());
                mem::swap(&mut wakers, &mut self.wakers());
                wakers.drain(..).for_each(Waker::wake);
                Poll::<()>::Pending
            });
            let _ = tokio::time::timeout(PATIENCE, look).await;
            pool.look_after_waiting_calls();
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer is there, and `waker` belongs to who waits for it. It is woken with the next [`flush`](Self::flush).
    pub(crate) fn add(&self, waker: Waker) {
        self.wakers().push(waker);
    }

    /// Those that have been added are woken now.
    pub(crate) fn flush(&self) {
        if !self.wakers().is_empty() {
            self.task.wake();
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}
