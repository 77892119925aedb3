//! Response bodies that remember: a streamed reply keeps its deadline, and every body keeps its request's record.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::{BodyError, BodyStream, HandlerError};
use http_body::{Body, Frame, SizeHint};
use tokio::{task::AbortHandle, time::Instant};

use super::{inlet::Inlet, problem::Problem, wire::Busy};
use crate::{
    call::{Leash, Outcome, Record},
    metrics::Metrics,
};

/// The body of a streamed reply. It ends with an error, which cuts the response off, when the deadline comes or the
/// function fails half-way: a client must be able to tell a part from the whole. (One that speaks HTTP/1.0 cannot.)
///
/// The deadline has a task of its own, because a body is only asked for more when its client takes what is there.
pub(super) struct Streamed {
    source: Arc<Mutex<Source>>,
    record: Arc<Record>,
    deadline: AbortHandle,
}

struct Source {
    running: Option<Flow>,
    timed_out: bool,
    reader: Option<Waker>,
}

/// Where the pieces come from, until the stream has ended one way or another.
pub(super) struct Flow {
    pub(super) stream: BodyStream,
    pub(super) leash: Leash,
    /// The request's body, if that is streamed as well: a reply to a part of it is not whole either.
    pub(super) inlet: Option<Inlet>,
}

impl Flow {
    fn failure(&self) -> Option<BodyError> {
        self.inlet.as_ref().and_then(Inlet::failure)
    }
}

impl Streamed {
    pub(super) fn new(flow: Flow, record: Arc<Record>, timeout: Duration, until: Instant) -> Self {
        let source = Source { running: Some(flow), timed_out: false, reader: None };
        let source = Arc::new(Mutex::new(source));
        let deadline = tokio::spawn({
            let (source, record) = (source.clone(), record.clone());
            async move {
                tokio::time::sleep_until(until).await;
                let mut source = lock(&source);
                let Some(Flow { stream, leash, inlet }) = source.running.take() else { return };
                source.timed_out = true;
                let reader = source.reader.take();
                drop(source);
                let late = inlet.is_some_and(|inlet| inlet.close_late(timeout));
                let problem = if late { BodyError::Late(timeout).into() } else { Problem::TimedOut(timeout) };
                cut(&record, &leash.metrics, &problem);
                // The reason first: an engine takes a dropped stream for a client that has gone.
                let blame = leash.overdue(None);
                if !late {
                    blame.function(timeout);
                }
                drop(stream);
                reader.into_iter().for_each(Waker::wake);
            }
        });
        Self { source, record, deadline: deadline.abort_handle() }
    }

    /// For an answer that has no body whatever the function made: the stream is given up, and nobody is to blame.
    pub(super) fn discard(self) {
        lock(&self.source).running = None;
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reply that had begun does not come to its end.
fn cut(record: &Record, metrics: &Metrics, problem: &Problem) {
    problem.log(&record.ids);
    match problem.rejected() {
        Some(reason) => metrics.rejected(reason),
        None => record.ended(Outcome::Failed),
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = HandlerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HandlerError>>> {
        let mut source = lock(&self.source);
        let Some(flow) = &mut source.running else {
            return Poll::Ready(source.timed_out.then_some(Err(HandlerError::Stopped)));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| flow.stream.as_mut().poll_next(cx)))
            .unwrap_or_else(|_| Poll::Ready(Some(Err(HandlerError::Lost("the engine panicked".to_owned())))));
        let runs = polled.is_pending();
        let problem = match polled {
            Poll::Ready(Some(Ok(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Poll::Ready(None) => flow.failure().map(Problem::Body),
            Poll::Ready(Some(Err(error))) => {
                Some(flow.failure().map_or(Problem::Handler(error), Problem::Body))
            }
            Poll::Pending => {
                let gone = flow.inlet.as_ref().is_some_and(|inlet| inlet.poll_gone(cx).is_ready());
                if !gone {
                    source.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Some(BodyError::Gone.into())
            }
        };
        let Some(Flow { stream, leash, .. }) = source.running.take() else { return Poll::Ready(None) };
        let Some(problem) = problem else { return Poll::Ready(None) };
        cut(&self.record, &leash.metrics, &problem);
        if runs {
            leash.let_go(None);
        }
        drop(stream);
        Poll::Ready(Some(Err(HandlerError::Stopped)))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.deadline.abort();
        if let Some(Flow { stream, leash, .. }) = lock(&self.source).running.take() {
            leash.let_go(None);
            drop(stream);
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
    /// No bytes, because the request or the status wants none.
    Omitted,
}

impl Outgoing {
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }

    /// Leaves the bytes out. HTTP/1 does that by itself; with HTTP/2 they would break the protocol.
    pub(super) fn omit(self) -> Self {
        if let Self::Streamed(body) = self {
            body.discard();
        }
        Self::Omitted
    }

    /// The number of bytes, when it is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streamed(_) => None,
            Self::Routed(body) => body.size_hint().exact(),
            Self::Omitted => Some(0),
        }
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
    busy: Busy,
}

impl Tracked {
    pub(super) fn new(body: Outgoing, record: Arc<Record>, busy: Busy) -> Self {
        busy.client_has_to_take();
        Self { body, record, busy }
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
        let polled = match &mut self.body {
            Outgoing::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Streamed(body) => Pin::new(body).poll_frame(cx).map_err(Cause::from),
            Outgoing::Routed(body) => Pin::new(body).poll_frame(cx).map_err(Cause::from),
            Outgoing::Omitted => Poll::Ready(None),
        };
        if polled.is_pending() {
            self.busy.function_has_to_give();
        }
        let frame = ready!(polled);
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.record.sent(data.len());
            if !self.is_end_stream() {
                self.busy.client_has_to_take();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Outgoing::Whole(bytes) => bytes.is_none(),
            Outgoing::Streamed(_) => false,
            Outgoing::Routed(body) => body.is_end_stream(),
            Outgoing::Omitted => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
