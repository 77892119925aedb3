//! Passing many calls at once between the server's threads and Go's.
//!
//! A wake across threads is a system call, and on a busy CPU also a switch to the thread that was woken, which is
//! dearer than a short call itself. So whoever has more to pass on puts the wake off until that is done. With one call
//! at a time nothing is put off.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;

use crate::ffi::Plugin;

/// From the server to Go: one of the calls that an I/O thread hands over in one go wakes the plugin, after all of
/// them.
pub(crate) struct Turn<'a> {
    plugin: &'a Plugin,
    taken: Arc<AtomicBool>,
}

impl<'a> Turn<'a> {
    /// `None` when another call that this thread has just handed over will do it.
    pub(crate) fn take(plugin: &'a Plugin) -> Option<Self> {
        thread_local! {
            static TAKEN: Arc<AtomicBool> = Arc::default();
        }
        TAKEN.with(|taken| (!taken.swap(true, Relaxed)).then(|| Self { plugin, taken: taken.clone() }))
    }

    /// Wakes the plugin when the tasks that are ready to run have run.
    pub(crate) async fn come(self) {
        tokio::task::yield_now().await;
    }
}

/// Also when the call is dropped while it waits for its turn.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.taken.store(false, Relaxed);
        self.plugin.wake();
    }
}

/// From Go to the server: the calls of a batch that have ended.
pub(crate) static ENDED: Ended = Ended {
    pending: Mutex::new(Pending { until: None, wakers: Vec::new() }),
    task: AtomicWaker::new(),
    start: Once::new(),
};

/// The longest that a call of a batch, when it has ended, waits for others to end.
const PATIENCE: Duration = Duration::from_micros(100);

pub(crate) struct Ended {
    pending: Mutex<Pending>,
    /// The task that wakes all others: from within the runtime that takes no system call.
    task: AtomicWaker,
    start: Once,
}

struct Pending {
    /// While a batch is collected: when those that wait have waited long enough.
    until: Option<Instant>,
    wakers: Vec<Waker>,
}

impl Ended {
    /// Starts the task; called within the runtime, and only the first time does anything.
    pub(crate) fn start(&'static self) {
        self.start.call_once(|| {
            tokio::spawn(self.wake_all());
        });
    }

    async fn wake_all(&self) {
        let mut wakers = Vec::new();
        poll_fn(|cx| {
            self.task.register(cx.waker());
            mem::swap(&mut wakers, &mut self.pending().wakers);
            wakers.drain(..).for_each(Waker::wake);
            Poll::<()>::Pending
        })
        .await;
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Many calls are about to end.
    pub(crate) fn collect(&self) {
        self.pending().until = Some(Instant::now() + PATIENCE);
    }

    /// Those that have ended are looked at now.
    pub(crate) fn flush(&self) {
        let mut pending = self.pending();
        pending.until = None;
        let any = !pending.wakers.is_empty();
        drop(pending);
        if any {
            self.task.wake();
        }
    }

    /// A call has ended, and `waker` belongs to who waits for it.
    pub(crate) fn wake(&self, waker: Waker) {
        let mut pending = self.pending();
        pending.wakers.push(waker);
        let due = match pending.until {
            None => true,
            Some(until) => {
                let now = Instant::now();
                let late = now > until;
                if late {
                    pending.until = Some(now + PATIENCE);
                }
                late
            }
        };
        drop(pending);
        if due {
            self.task.wake();
        }
    }
}
