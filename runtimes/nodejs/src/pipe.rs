//! The way of a streamed body from an isolate to the client, one piece after the other.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contract::HandlerError;

/// Bytes that may wait for the client before the function is told to wait.
const FULL: usize = 64 << 10;
/// Bytes left when it may go on.
const ROOM: usize = 16 << 10;

/// A queue of pieces. The isolate writes, the response's task reads.
#[derive(Debug, Default)]
pub(crate) struct Pipe(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    held: usize,
    /// The writer waits for room.
    full: bool,
    /// Nobody reads.
    unread: bool,
    end: Option<Result<(), HandlerError>>,
    reader: Option<Waker>,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A piece; with `room` the writer is to be told that it may go on.
    Piece {
        bytes: Bytes,
        room: bool,
    },
    End,
    Broken(HandlerError),
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece in any case, and says whether there is room for another. Nobody hears of it before
    /// [`take_reader`](Self::take_reader) is called.
    pub(crate) fn write(&self, bytes: Bytes) -> bool {
        let mut state = self.state();
        if !state.unread && !bytes.is_empty() {
            state.held += bytes.len();
            state.pieces.push_back(bytes);
        }
        state.full = state.held >= FULL;
        !state.full
    }

    /// No piece follows. The first end stays.
    pub(crate) fn end(&self, end: Result<(), HandlerError>) {
        self.state().end.get_or_insert(end);
    }

    /// Who waits for what has just been written.
    pub(crate) fn take_reader(&self) -> Option<Waker> {
        self.state().reader.take()
    }

    /// The next piece, or the end.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if let Some(bytes) = state.pieces.pop_front() {
            state.held -= bytes.len();
            let room = state.full && state.held <= ROOM;
            state.full &= !room;
            return Poll::Ready(Next::Piece { bytes, room });
        }
        match state.end.replace(Ok(())) {
            Some(Ok(())) => Poll::Ready(Next::End),
            Some(Err(error)) => Poll::Ready(Next::Broken(error)),
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

    /// Nobody will read the rest. `true` when the end had not been written.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state();
        state.unread = true;
        state.reader = None;
        state.held = 0;
        let pieces = std::mem::take(&mut state.pieces);
        let open = state.end.is_none();
        drop(state);
        drop(pieces);
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_slow_reader_makes_the_writer_wait_until_little_is_left() {
        let pipe = Pipe::default();
        let piece = Bytes::from(vec![0; ROOM]);
        let rooms: Vec<bool> = (0..4).map(|_| pipe.write(piece.clone())).collect();
        assert_eq!(rooms, [true, true, true, false]);
        let told: Vec<bool> = std::iter::from_fn(|| match pipe.poll(&cx()) {
            Poll::Ready(Next::Piece { room, .. }) => Some(room),
            _ => None,
        })
        .collect();
        assert_eq!(told, [false, false, true, false], "once");
    }

    #[test]
    fn an_error_comes_after_what_was_written_before_it() {
        let pipe = Pipe::default();
        pipe.write(Bytes::from_static(b"first"));
        pipe.end(Err(HandlerError::Stopped));
        pipe.end(Ok(()));
        assert!(matches!(pipe.poll(&cx()), Poll::Ready(Next::Piece { .. })));
        assert!(matches!(pipe.poll(&cx()), Poll::Ready(Next::Broken(HandlerError::Stopped))));
        assert!(matches!(pipe.poll(&cx()), Poll::Ready(Next::End)));
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let pipe = Pipe::default();
        pipe.write(Bytes::from(vec![0; FULL]));
        assert!(pipe.abandon());
        assert!(pipe.write(Bytes::from(vec![0; FULL])), "there is always room");
        assert!(matches!(pipe.poll(&cx()), Poll::Pending));
        pipe.end(Ok(()));
        assert!(!pipe.abandon());
    }
}
