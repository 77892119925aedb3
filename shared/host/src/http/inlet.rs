//! A body that the function reads while its client sends it, shared by the engine, which reads, and the server, which
//! answers for the client's faults and takes the body back when the call has been answered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use contract::{BodyError, BodyStream, HandlerError};
use futures_core::Stream;

use super::{source::Source, wire::Wire};

/// What an HTTP/1 connection reads away by itself to be used again, when it has come with the head.
const READ_AWAY: u64 = 4096;

/// The server's end. When it is dropped, there is no body any more.
pub(super) struct Inlet {
    shared: Arc<Mutex<State>>,
    wire: Arc<Wire>,
}

struct State {
    /// `None` when there is nothing more to read.
    source: Option<Source>,
    /// Why there is not, when it is not the end.
    failure: Option<BodyError>,
    /// What the client would still send, when the body is let go of before its end.
    unsent: u64,
    /// Waits for the client.
    reader: Option<Waker>,
    /// Wants to hear of a client that has gone.
    server: Option<Waker>,
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inlet {
    /// Both ends.
    pub(super) fn new(source: Source, wire: Arc<Wire>) -> (Self, BodyStream) {
        let state = State { source: Some(source), failure: None, unsent: 0, reader: None, server: None };
        let shared = Arc::new(Mutex::new(state));
        let reader = Reader { shared: shared.clone(), wire: wire.clone() };
        (Self { shared, wire }, Box::pin(reader))
    }

    /// Why the function did not get the whole body, if that is so.
    pub(super) fn failure(&self) -> Option<BodyError> {
        lock(&self.shared).failure.clone()
    }

    /// For when the deadline has come, which was `timeout` away. Whether it was the client that the function waited for.
    pub(super) fn close_late(&self, timeout: Duration) -> bool {
        let state = lock(&self.shared);
        let late = state.reader.is_some() || matches!(state.failure, Some(BodyError::Late(_)));
        drop(state);
        self.close(BodyError::Late(timeout));
        late
    }

    /// Whether so much of the body has not been read that the connection cannot be used again.
    pub(super) fn ends_connection(&self) -> bool {
        let state = lock(&self.shared);
        state.source.as_ref().map_or(state.unsent, Source::unsent) > READ_AWAY
    }

    /// Ready when the reader has found out that the client has gone.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.shared);
        if state.failure == Some(BodyError::Gone) {
            return Poll::Ready(());
        }
        match &mut state.server {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the body back; whoever still reads is told why.
    fn close(&self, why: BodyError) {
        let mut state = lock(&self.shared);
        let Some(source) = state.source.take() else { return };
        state.failure = Some(why);
        let reader = state.reader.take();
        drop(state);
        self.wire.leave_unread();
        drop(source);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.close(BodyError::Gone);
    }
}

/// The engine's end.
struct Reader {
    shared: Arc<Mutex<State>>,
    wire: Arc<Wire>,
}

impl Stream for Reader {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.shared);
        let Some(source) = &mut state.source else {
            return Poll::Ready(state.failure.clone().map(|error| Err(error.into())));
        };
        let Poll::Ready(piece) = source.poll(cx) else {
            match &mut state.reader {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        };
        state.reader = None;
        let failure = match piece {
            Some(Ok(piece)) => return Poll::Ready(Some(Ok(piece))),
            Some(Err(failure)) => Some(failure),
            None => None,
        };
        state.failure.clone_from(&failure);
        let source = state.source.take();
        let server = state.server.take();
        drop(state);
        if failure.is_some() {
            self.wire.leave_unread();
        }
        drop(source);
        server.into_iter().for_each(Waker::wake);
        Poll::Ready(failure.map(|failure| Err(failure.into())))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The rest is not wanted, and nobody is to blame.
        let mut state = lock(&self.shared);
        state.reader = None;
        let Some(source) = state.source.take() else { return };
        state.unsent = source.unsent();
        self.wire.leave_unread();
        // Before the server's end can be dropped: whoever finds this call over finds its body let go of.
        drop(source);
    }
}
