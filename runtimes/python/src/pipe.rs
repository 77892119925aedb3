//! The way of a streamed body from user code to the client, one piece after the other.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contract::HandlerError;

use crate::call::lock;

/// Bytes that may wait for the client. One piece may be larger; it waits alone.
const ROOM: usize = 64 * 1024;

/// A queue of pieces with room for a few. One thread or task writes, one task reads.
#[derive(Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    end: Option<Result<(), HandlerError>>,
    /// Nobody reads any more.
    abandoned: bool,
    reader: Option<Waker>,
    /// Called once when there is room again.
    room_wanted: Option<Box<dyn FnOnce() + Send>>,
}

/// What a writer should do after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Go on.
    Write,
    /// Wait for room before the next piece.
    Wait,
    /// Stop: nobody reads.
    Stop,
}

impl State {
    fn next(&self) -> Next {
        if self.abandoned {
            Next::Stop
        } else if self.waiting >= ROOM {
            Next::Wait
        } else {
            Next::Write
        }
    }
}

impl Pipe {
    /// Takes a piece in any case, and says whether there is room for another.
    pub(crate) fn write(&self, piece: Bytes) -> Next {
        let mut state = lock(&self.state);
        if !state.abandoned {
            state.waiting += piece.len();
            state.pieces.push_back(piece);
        }
        let (next, reader) = (state.next(), state.reader.take());
        drop(state);
        wake(reader);
        next
    }

    /// Blocks until there is room; `false` when nobody reads any more.
    pub(crate) fn wait_for_room(&self) -> bool {
        let mut state = lock(&self.state);
        while state.next() == Next::Wait {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.next() == Next::Write
    }

    /// Calls `then` once there is room or nobody reads any more. `false`, and no call, when that is so already.
    pub(crate) fn when_room(&self, then: impl FnOnce() + Send + 'static) -> bool {
        let mut state = lock(&self.state);
        let waits = state.next() == Next::Wait;
        if waits {
            state.room_wanted = Some(Box::new(then));
        }
        waits
    }

    /// No piece follows. The first end stays.
    pub(crate) fn end(&self, end: Result<(), HandlerError>) {
        let mut state = lock(&self.state);
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// The next piece, the end, or the reason for a premature end.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, HandlerError>>> {
        let mut state = lock(&self.state);
        if let Some(piece) = state.pieces.pop_front() {
            state.waiting -= piece.len();
            let wanted = if state.next() == Next::Wait { None } else { state.room_wanted.take() };
            drop(state);
            self.announce_room(wanted);
            return Poll::Ready(Some(Ok(piece)));
        }
        match state.end.replace(Ok(())) {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                state.end = None;
                match &mut state.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Nobody reads any more. `true` when the writer had not come to its end.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = lock(&self.state);
        state.abandoned = true;
        state.pieces.clear();
        let (wanted, ended) = (state.room_wanted.take(), state.end.is_some());
        drop(state);
        self.announce_room(wanted);
        !ended
    }

    fn announce_room(&self, wanted: Option<Box<dyn FnOnce() + Send>>) {
        self.changed.notify_all();
        if let Some(then) = wanted {
            then();
        }
    }
}

fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}
