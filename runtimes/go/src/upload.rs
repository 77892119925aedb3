//! A request's body that is read by the plugin, on its threads, while the client sends it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use contract::{BodyStream, HandlerError};

/// What there was to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    /// Nothing; the waker is told when there is.
    NoneYet,
    End,
    /// Nothing, and [`Upload::failure`] says why there will not be.
    Broken,
}

/// The body of one call; without a stream, one that has come to its end.
#[derive(Default)]
pub(crate) struct Upload {
    state: Mutex<State>,
    failure: OnceLock<Failed>,
}

#[derive(Default)]
struct State {
    stream: Option<BodyStream>,
    /// What the plugin had no room for.
    rest: Bytes,
}

/// Why a body does not come to its end.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: HandlerError,
    pub(crate) text: String,
}

impl Upload {
    pub(crate) fn new(stream: Option<BodyStream>) -> Self {
        Self { state: Mutex::new(State { stream, rest: Bytes::new() }), failure: OnceLock::new() }
    }

    /// Copies what is there. Asks for more only when there is nothing left: that is what the client waits for.
    pub(crate) fn read(&self, into: &mut [u8], cx: &mut Context<'_>) -> Read {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rest.is_empty() {
            let Some(stream) = &mut state.stream else {
                return if self.failure.get().is_some() { Read::Broken } else { Read::End };
            };
            // A panic must not reach the plugin.
            let next =
                catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(cx))).unwrap_or_else(|_| {
                    Poll::Ready(Some(Err(HandlerError::Lost("reading panicked".to_owned()))))
                });
            match next {
                Poll::Pending => return Read::NoneYet,
                Poll::Ready(Some(Ok(piece))) => state.rest = piece,
                Poll::Ready(None) => {
                    state.stream = None;
                    return Read::End;
                }
                Poll::Ready(Some(Err(error))) => {
                    state.stream = None;
                    let text = error.to_string();
                    self.failure.get_or_init(|| Failed { error, text });
                    return Read::Broken;
                }
            }
        }
        let read = state.rest.len().min(into.len());
        into[..read].copy_from_slice(&state.rest[..read]);
        state.rest.advance(read);
        Read::Bytes(read)
    }

    /// Why reading ended with [`Read::Broken`].
    pub(crate) fn failure(&self) -> Option<&Failed> {
        self.failure.get()
    }

    /// Nobody reads any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { stream, rest } = std::mem::take(&mut *state);
        drop(state);
        drop((stream, rest));
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}

#[cfg(test)]
mod tests {
    use contract::BodyError;
    use futures_util::stream::{self, StreamExt as _};

    use super::*;

    fn read(upload: &Upload, room: usize) -> Result<String, Read> {
        let mut into = vec![0; room];
        match upload.read(&mut into, &mut Context::from_waker(std::task::Waker::noop())) {
            Read::Bytes(read) => Ok(String::from_utf8(into[..read].to_vec()).unwrap()),
            other => Err(other),
        }
    }

    #[test]
    fn pieces_that_are_larger_than_the_room_are_read_in_parts() {
        let pieces = ["abcde", "f"].map(|piece| Ok(Bytes::from(piece)));
        let upload = Upload::new(Some(Box::pin(stream::iter(pieces))));
        assert_eq!([(); 3].map(|()| read(&upload, 3).unwrap()), ["abc", "de", "f"]);
        assert_eq!([read(&upload, 3), read(&upload, 3)], [Err(Read::End), Err(Read::End)]);
    }

    #[test]
    fn a_failure_stays_and_what_came_before_it_is_read() {
        let pieces = [Ok(Bytes::from("ab")), Err(HandlerError::Body(BodyError::Gone))];
        let upload = Upload::new(Some(Box::pin(stream::iter(pieces).chain(stream::pending()))));
        assert_eq!(read(&upload, 3), Ok("ab".to_owned()));
        assert_eq!([read(&upload, 3), read(&upload, 3)], [Err(Read::Broken), Err(Read::Broken)]);
        assert!(matches!(upload.failure().unwrap().error, HandlerError::Body(BodyError::Gone)));
    }

    #[test]
    fn a_panic_is_a_failure() {
        let stream = stream::poll_fn(|_| -> Poll<Option<Result<Bytes, HandlerError>>> { panic!("as asked") });
        let upload = Upload::new(Some(Box::pin(stream)));
        assert_eq!(read(&upload, 3), Err(Read::Broken));
    }

    #[test]
    fn a_closed_body_is_at_its_end() {
        let upload = Upload::new(Some(Box::pin(stream::pending())));
        assert_eq!(read(&upload, 3), Err(Read::NoneYet));
        upload.close();
        assert_eq!(read(&upload, 3), Err(Read::End));
    }
}
