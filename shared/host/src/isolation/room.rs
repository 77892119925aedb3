//! Calls that have a place and no worker.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use contract::Cancelled;
use tokio::sync::Notify;

/// Calls that have a place and no worker: some worker is being replaced.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: AtomicUsize,
    freed: Notify,
}

impl Room {
    /// A worker can take another call.
    pub(super) fn free(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// A worker can take many calls.
    pub(super) fn free_all(&self) {
        self.freed.notify_waiters();
    }

    /// Waits until `take` has found a worker; `None` when the call was cancelled meanwhile.
    pub(super) async fn wait<T>(&self, cancel: &Cancelled, take: impl Fn() -> Option<T>) -> Option<T> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut cancelled = pin!(cancel.cancelled());
        let found = loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(found) = take() {
                break Some(found);
            }
            let reason = poll_fn(|cx| match cancelled.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => freed.as_mut().poll(cx).map(|()| false),
            });
            if reason.await {
                break None;
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found
    }
}
