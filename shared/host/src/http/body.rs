//! Response bodies that remember: a streamed reply keeps its deadline, and every body keeps its request's record.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::{BodyStream, CancelReason, HandlerError};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{problem::Problem, wire::Busy};
use crate::call::{Outcome, Record, Watch};

/// The body of a streamed reply. It ends with an error, which cuts the response off, when the deadline comes or the
/// function fails half-way: a client must be able to tell a part from the whole.
pub(super) struct Streamed {
    stream: BodyStream,
    watch: Option<Watch>,
    record: Arc<Record>,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Streamed {
    pub(super) fn new(
        stream: BodyStream,
        watch: Watch,
        record: Arc<Record>,
        timeout: Duration,
        until: Instant,
    ) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(until));
        Self { stream, watch: Some(watch), record, timeout, timer }
    }

    fn fail(&mut self, problem: &Problem) -> HandlerError {
        problem.log(&self.record.ids);
        self.record.ended(Outcome::Failed);
        HandlerError::Stopped
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = HandlerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HandlerError>>> {
        let this = &mut *self;
        if this.watch.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(item) = this.stream.as_mut().poll_next(cx) {
            return Poll::Ready(match item {
                Some(Ok(data)) => Some(Ok(Frame::data(data))),
                Some(Err(error)) => {
                    this.watch = None;
                    Some(Err(this.fail(&Problem::Handler(error))))
                }
                None => {
                    this.watch = None;
                    None
                }
            });
        }
        ready!(this.timer.as_mut().poll(cx));
        if let Some(watch) = this.watch.take() {
            watch.cancel(CancelReason::Deadline, None);
        }
        let timeout = this.timeout;
        Poll::Ready(Some(Err(this.fail(&Problem::TimedOut(timeout)))))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.cancel(CancelReason::ClientGone, None);
        }
    }
}

/// What a response carries. The function's answers go their own way so that they are not boxed on it.
pub(super) enum Outgoing {
    /// All of it, or nothing any more.
    Whole(Option<Bytes>),
    /// Piece by piece.
    Streamed(Box<Streamed>),
    /// An answer of the host's own routes.
    Routed(axum::body::Body),
}

impl Outgoing {
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

/// The outermost body of every response: counts what is sent and, when it is dropped, lets the request be recorded
/// and the connection be idle again.
pub(super) struct Tracked {
    body: Outgoing,
    record: Arc<Record>,
    _busy: Busy,
}

impl Tracked {
    pub(super) fn new(body: Outgoing, record: Arc<Record>, busy: Busy) -> Self {
        Self { body, record, _busy: busy }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Body for Tracked {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let frame = match &mut self.body {
            Outgoing::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Outgoing::Streamed(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| Ok(frame?)),
            Outgoing::Routed(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| Ok(frame?)),
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.record.sent(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Outgoing::Whole(bytes) => bytes.is_none(),
            Outgoing::Streamed(_) => false,
            Outgoing::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Outgoing::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outgoing::Streamed(_) => SizeHint::default(),
            Outgoing::Routed(body) => body.size_hint(),
        }
    }
}
