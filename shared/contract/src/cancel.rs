//! Telling a running call that nobody waits for it any more, and hearing from it where it was then.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
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
    whereabouts: Mutex<Option<String>>,
    told: AtomicWaker,
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

    /// Where the call's user code was when it was cancelled, once the engine has told. Never completes when the engine
    /// does not, so the caller sets a time. One task waits at a time.
    pub async fn whereabouts(&self) -> String {
        let look = || self.0.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).take();
        poll_fn(|cx| {
            if let Some(stack) = look() {
                return Poll::Ready(stack);
            }
            self.0.told.register(cx.waker());
            look().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The engine's way to tell where a call's user code is; see [`Cancelled::witness`].
#[derive(Clone, Debug)]
pub struct Witness(Arc<State>);

/// Bytes of a stack that are kept: enough to see where a recursion goes round.
const LONGEST_STACK: usize = 16 * 1024;

impl Witness {
    /// Tells, as the language prints stacks. The first word counts; of a very long one the innermost part, which ends
    /// it where `innermost_last`, is kept.
    pub fn tell(&self, mut stack: String, innermost_last: bool) {
        if stack.len() > LONGEST_STACK && innermost_last {
            stack.drain(..stack.ceil_char_boundary(stack.len() - LONGEST_STACK));
            stack.insert_str(0, "...\n");
        } else if stack.len() > LONGEST_STACK {
            stack.truncate(stack.floor_char_boundary(LONGEST_STACK));
            stack.push_str("\n...");
        }
        self.0.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stack);
        self.0.told.wake();
    }
}

impl Cancelled {
    /// With this the engine answers, once the call has been cancelled, where its user code is: the log line of a call
    /// that ran out of time says so. It is asked before, or while, the user code is stopped, and may be held by any
    /// thread.
    pub fn witness(&self) -> Witness {
        Witness(self.0.clone())
    }

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
    fn the_engine_tells_where_a_call_was_and_keeps_what_matters_of_a_long_stack() {
        for (last, kept) in [(true, "...\n"), (false, "innermost\n")] {
            let (canceller, cancelled) = Canceller::new();
            let mut asked = Box::pin(canceller.whereabouts());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(asked.as_mut().poll(&mut cx).is_pending());
            let frames = "\u{20ac} frame\n".repeat(10_000);
            let stack = if last { format!("{frames}innermost\n") } else { format!("innermost\n{frames}") };
            cancelled.witness().tell(stack, last);
            cancelled.witness().tell("another".to_owned(), last);
            let Poll::Ready(told) = asked.as_mut().poll(&mut cx) else { panic!("not told") };
            assert!(told.len() <= LONGEST_STACK + 4 && told.contains("innermost\n"), "{}", told.len());
            assert!(told.starts_with(kept));
        }
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
