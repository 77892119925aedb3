//! One call between the moment it is handed to the plugin and the moment the plugin is done with it. The plugin's
//! threads write into it, the server's tasks read from it.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contract::{Body, BodyStream, Failure, HandlerError, Place, Reply, Witness};

use crate::{batch::ENDED, convert, upload::Upload};

/// Bytes of a streamed body that may wait for the client before the function is made to wait.
const FULL: usize = 256 << 10;
/// Bytes left when the function may go on.
const ROOM: usize = 64 << 10;

/// What the plugin is told about a piece it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Wait,
    Gone,
}

/// What has arrived first.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// Everything.
    Whole(Reply),
    /// A head without its body, which comes in pieces.
    Head(Reply),
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum Next {
    /// A piece; the plugin is to be told that there is room again if `room` says so.
    Piece {
        bytes: Bytes,
        room: bool,
    },
    End,
    Broken(HandlerError),
}

#[derive(Debug)]
pub(crate) struct Call {
    state: Mutex<State>,
    /// How the server learns where the handler was when its time was over.
    witness: Witness,
    /// The request's body, if that is streamed.
    pub(crate) upload: Upload,
}

#[derive(Debug)]
struct State {
    /// Given back when the handler is done.
    place: Option<Place>,
    waker: Option<Waker>,
    arrived: Option<Result<Arrived, HandlerError>>,
    begun: bool,
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    held: usize,
    /// The plugin waits for room.
    full: bool,
    /// Nobody reads the pieces.
    unread: bool,
    /// Set when the handler is done: how the body ended, if there is one.
    over: Option<Result<(), HandlerError>>,
}

impl Call {
    pub(crate) fn new(place: Place, upload: Option<BodyStream>, witness: Witness) -> Self {
        let state = State {
            place: Some(place),
            waker: None,
            arrived: None,
            begun: false,
            pieces: VecDeque::new(),
            held: 0,
            full: false,
            unread: false,
            over: None,
        };
        Self { state: Mutex::new(state), witness, upload: Upload::new(upload) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler is done, and all there is to know has been sent.
    pub(crate) fn is_over(&self) -> bool {
        self.state().over.is_some()
    }

    // The plugin's side.

    /// Where the handler was a moment ago. If it is done by now, that may have been another call of its goroutine.
    pub(crate) fn is_at(&self, stack: String) {
        if !self.is_over() {
            self.witness.tell(stack, false);
        }
    }

    pub(crate) fn reply(&self, status: u32, headers: &[u8], media: &[u8], body: &[u8]) {
        let reply = convert::reply(status, headers, media).map(|mut reply| {
            reply.body = Body::from(Bytes::copy_from_slice(body));
            Arrived::Whole(reply)
        });
        let mut state = self.state();
        state.arrived = Some(reply);
        self.finish(state, Ok(()));
    }

    pub(crate) fn begin(&self, status: u32, headers: &[u8], media: &[u8]) {
        let head = convert::reply(status, headers, media).map(Arrived::Head);
        let mut state = self.state();
        state.begun = true;
        state.unread |= head.is_err();
        state.arrived = Some(head);
        Self::wake(state);
    }

    pub(crate) fn chunk(&self, piece: &[u8]) -> Verdict {
        if self.state().unread {
            return Verdict::Gone;
        }
        let bytes = Bytes::copy_from_slice(piece);
        let mut state = self.state();
        state.held += bytes.len();
        state.pieces.push_back(bytes);
        state.full = state.held >= FULL;
        let verdict = if state.full { Verdict::Wait } else { Verdict::GoOn };
        Self::wake(state);
        verdict
    }

    pub(crate) fn end(&self) {
        self.finish(self.state(), Ok(()));
    }

    pub(crate) fn fail(&self, failure: Failure) {
        let mut state = self.state();
        if state.begun {
            self.finish(state, Err(HandlerError::Raised(failure)));
        } else {
            state.arrived = Some(Err(HandlerError::Raised(failure)));
            self.finish(state, Ok(()));
        }
    }

    fn finish(&self, mut state: MutexGuard<'_, State>, result: Result<(), HandlerError>) {
        state.over = Some(result);
        let place = state.place.take();
        let waker = state.waker.take();
        drop(state);
        self.upload.close();
        // Given back first: whoever is woken finds the call no longer counted as running.
        drop(place);
        if let Some(waker) = waker {
            ENDED.wake(waker);
        }
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    // The server's side.

    /// Waits for the reply or its head.
    pub(crate) fn poll_arrived(&self, cx: &Context<'_>) -> Poll<Result<Arrived, HandlerError>> {
        let mut state = self.state();
        match state.arrived.take() {
            Some(arrived) => Poll::Ready(arrived),
            None => state.pending(cx),
        }
    }

    /// Waits for the next piece of the body, after [`Arrived::Head`].
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if let Some(bytes) = state.pieces.pop_front() {
            state.held -= bytes.len();
            let room = state.full && state.held <= ROOM;
            state.full &= !room;
            return Poll::Ready(Next::Piece { bytes, room });
        }
        match &mut state.over {
            Some(result) => match mem::replace(result, Ok(())) {
                Ok(()) => Poll::Ready(Next::End),
                Err(error) => Poll::Ready(Next::Broken(error)),
            },
            None => state.pending(cx),
        }
    }

    /// Nobody will ask for the rest of the body. Whether the handler still runs.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state();
        state.unread = true;
        state.waker = None;
        let pieces = mem::take(&mut state.pieces);
        let runs = state.over.is_none();
        drop(state);
        drop(pieces);
        runs
    }
}

impl State {
    fn pending<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness() -> Witness {
        contract::cancel::Canceller::new().1.witness()
    }

    fn call() -> Call {
        Call::new(Place::new(()), None, witness())
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn failure(message: &str) -> Failure {
        Failure { message: message.to_owned(), ..Failure::default() }
    }

    #[test]
    fn the_place_is_given_back_before_anybody_is_woken() {
        struct Held(std::sync::Arc<std::sync::atomic::AtomicBool>);
        impl contract::Hold for Held {}
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
        struct Woken(std::sync::Arc<std::sync::atomic::AtomicBool>);
        impl std::task::Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                assert!(self.0.load(std::sync::atomic::Ordering::SeqCst), "the place is still taken");
            }
        }
        let given_back = std::sync::Arc::default();
        let call = Call::new(Place::new(Held(std::sync::Arc::clone(&given_back))), None, witness());
        let waker = Waker::from(std::sync::Arc::new(Woken(given_back.clone())));
        assert!(call.poll_arrived(&Context::from_waker(&waker)).is_pending());
        call.reply(200, b"", b"", b"done");
        assert!(given_back.load(std::sync::atomic::Ordering::SeqCst));
    }

    #[test]
    fn a_slow_client_makes_the_function_wait_until_there_is_room() {
        let call = call();
        call.begin(200, b"", b"");
        assert!(matches!(call.poll_arrived(&cx()), Poll::Ready(Ok(Arrived::Head(_)))));
        let piece = vec![0; ROOM];
        assert_eq!(call.chunk(&piece), Verdict::GoOn);
        assert_eq!(call.chunk(&piece), Verdict::GoOn);
        assert_eq!(call.chunk(&piece), Verdict::GoOn);
        assert_eq!(call.chunk(&piece), Verdict::Wait);
        let rooms: Vec<bool> = std::iter::from_fn(|| match call.poll_next(&cx()) {
            Poll::Ready(Next::Piece { room, .. }) => Some(room),
            _ => None,
        })
        .collect();
        assert_eq!(rooms, [false, false, true, false], "told once, when little is left");
    }

    #[test]
    fn an_error_after_the_head_breaks_the_body_and_not_before_what_was_written() {
        let call = call();
        call.begin(200, b"", b"");
        call.chunk(b"first");
        call.fail(failure("late"));
        assert!(matches!(call.poll_arrived(&cx()), Poll::Ready(Ok(Arrived::Head(_)))));
        assert!(matches!(call.poll_next(&cx()), Poll::Ready(Next::Piece { .. })));
        let Poll::Ready(Next::Broken(HandlerError::Raised(raised))) = call.poll_next(&cx()) else {
            panic!("the error is lost");
        };
        assert_eq!(raised.message, "late");
    }

    #[test]
    fn a_reader_that_leaves_is_told_to_the_writer() {
        let call = call();
        call.begin(200, b"", b"");
        assert_eq!(call.chunk(b"a"), Verdict::GoOn);
        assert!(call.leave(), "the handler still runs");
        assert_eq!(call.chunk(b"b"), Verdict::Gone);
        call.end();
        assert!(!call.leave());
    }

    #[test]
    fn a_head_that_cannot_be_sent_ends_the_streaming() {
        let call = call();
        call.begin(999, b"", b"");
        assert_eq!(call.chunk(b"a"), Verdict::Gone);
        assert!(matches!(call.poll_arrived(&cx()), Poll::Ready(Err(HandlerError::BadReply(_)))));
    }
}
