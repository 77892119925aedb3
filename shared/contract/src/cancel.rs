//! Telling a running call that nobody waits for it any more.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use atomic_waker::AtomicWaker;

/// Why a call should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// `FUNC_TIMEOUT` is over; the client has been answered 408 or its stream has been cut.
    Deadline = 1,
    /// The client closed its connection or reset its stream.
    ClientGone = 2,
    /// The process is shutting down and `SHUTDOWN_TIMEOUT` is over.
    Shutdown = 3,
}

impl CancelReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Deadline, Self::ClientGone, Self::Shutdown];

    /// Its place in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// For metrics and log lines.
    pub fn label(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::ClientGone => "client_gone",
            Self::Shutdown => "shutdown",
        }
    }
}

#[derive(Debug, Default)]
struct State {
    reason: AtomicU8,
    waker: AtomicWaker,
}

/// The server's end: fires at most once.
#[derive(Debug, Default)]
pub struct Canceller(Arc<State>);

/// The engine's end, one per call.
#[derive(Debug)]
pub struct Cancelled(Arc<State>);

impl Canceller {
    /// A new pair; dropping this end without [`fire`](Self::fire) means the call is never cancelled.
    pub fn new() -> (Self, Cancelled) {
        let state = Arc::new(State::default());
        (Self(state.clone()), Cancelled(state))
    }

    /// Asks the call to stop. The first reason stays.
    pub fn fire(&self, reason: CancelReason) {
        let _ = self.0.reason.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.0.waker.wake();
    }
}

impl Cancelled {
    /// The reason, once cancelled.
    pub fn reason(&self) -> Option<CancelReason> {
        let number = self.0.reason.load(Ordering::Acquire);
        CancelReason::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// Waits until the call is cancelled; never completes otherwise. One task waits at a time.
    pub async fn cancelled(&self) -> CancelReason {
        poll_fn(|cx| self.poll_cancelled(cx)).await
    }

    /// The same for a future or stream that is written by hand.
    pub fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<CancelReason> {
        if let Some(reason) = self.reason() {
            return Poll::Ready(reason);
        }
        self.0.waker.register(cx.waker());
        match self.reason() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let (canceller, cancelled) = Canceller::new();
        assert_eq!(cancelled.reason(), None);
        canceller.fire(CancelReason::ClientGone);
        canceller.fire(CancelReason::Deadline);
        assert_eq!(cancelled.reason(), Some(CancelReason::ClientGone));
    }

    #[test]
    fn waiting_ends_when_fired() {
        let (canceller, cancelled) = Canceller::new();
        let mut waiting = Box::pin(cancelled.cancelled());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        canceller.fire(CancelReason::Shutdown);
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(CancelReason::Shutdown));
    }
}
