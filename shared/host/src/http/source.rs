//! A request's body on its way in, with everything that bounds it: its size, its client's patience, the deadline.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use contract::BodyError;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    inflate::{Coding, Inflated},
    wire::Wire,
};
use crate::config::Config;

/// The pieces that the function gets, one after the other, none of them empty. Nothing is read ahead.
pub(super) enum Source {
    /// As they were sent.
    Plain(Sent),
    /// As they were before the client compressed them.
    Inflated(Inflated, Limit),
}

impl Source {
    pub(super) fn new(
        body: Incoming,
        codings: Vec<Coding>,
        config: &Config,
        deadline: Instant,
        wire: Arc<Wire>,
    ) -> Self {
        let limit = Limit { allowed: config.wire.body as u64, counted: 0 };
        let clock = Clock {
            patience: config.wire.body_time,
            deadline,
            timeout: config.calls.timeout,
            timer: Box::pin(sleep_until(deadline)),
            waits: false,
        };
        let sent = Sent { body, clock, limit: limit.clone(), wire };
        if codings.is_empty() {
            Self::Plain(sent)
        } else {
            Self::Inflated(Inflated::new(Shared(Arc::new(Mutex::new(sent))), codings), limit)
        }
    }

    /// The next piece; after an error or the end it is not asked again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Plain(sent) => sent.poll(cx),
            Self::Inflated(inflated, limit) => {
                let piece = ready!(inflated.poll(cx));
                Poll::Ready(piece.map(|piece| limit.count(piece?)))
            }
        }
    }

    /// How many bytes the client still has to send, as far as that is known.
    pub(super) fn unsent(&self) -> u64 {
        match self {
            Self::Plain(sent) => sent.body.size_hint().lower(),
            Self::Inflated(..) => 0,
        }
    }
}

/// The bytes that the client sends.
pub(super) struct Sent {
    body: Incoming,
    clock: Clock,
    limit: Limit,
    wire: Arc<Wire>,
}

impl Sent {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.clock.poll(cx).map(|late| Some(Err(late)));
            };
            self.clock.waits = false;
            match frame {
                None => return Poll::Ready(self.is_cut_off().then_some(Err(BodyError::Gone))),
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(&error)))),
                // Trailers carry nothing that the contract gives a meaning to.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(self.limit.count(data))),
                    _ => {}
                },
            }
        }
    }

    /// The library ends two kinds of bodies as if they were complete: those in the middle of which their connection is
    /// dropped, and those whose HTTP/2 stream the client resets without calling it an error.
    fn is_cut_off(&self) -> bool {
        self.wire.is_over() || self.wire.is_http2() && !self.body.is_end_stream()
    }
}

/// [`Sent`], while something else reads it as well.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Sent>>);

impl Shared {
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll(cx)
    }
}

/// The library does not name the ways in which a connection ends.
fn broken(error: &hyper::Error) -> BodyError {
    use std::{
        error::Error as _,
        io::{Error, ErrorKind},
    };
    match error.source().and_then(|source| source.downcast_ref::<Error>()) {
        // How its decoder reports what is not a chunk or not its length.
        Some(reason) if matches!(reason.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
            BodyError::Malformed(reason.to_string())
        }
        _ => BodyError::Gone,
    }
}

/// The payload limit.
#[derive(Clone)]
pub(super) struct Limit {
    allowed: u64,
    counted: u64,
}

impl Limit {
    fn count(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        self.counted += data.len() as u64;
        if self.counted > self.allowed {
            return Err(BodyError::TooLarge { declared: None, limit: self.allowed });
        }
        Ok(data)
    }
}

/// Runs while the client is waited for, and not while it waits to be asked for more.
struct Clock {
    patience: Duration,
    deadline: Instant,
    /// How far away the deadline was.
    timeout: Duration,
    /// Made here, because whoever polls it need not know of the runtime that it is made in.
    timer: Pin<Box<Sleep>>,
    waits: bool,
}

impl Clock {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if !self.waits {
            self.waits = true;
            self.timer.as_mut().reset(self.deadline.min(Instant::now() + self.patience));
        }
        ready!(self.timer.as_mut().poll(cx));
        let late = Instant::now() >= self.deadline;
        Poll::Ready(if late { BodyError::Late(self.timeout) } else { BodyError::Stalled(self.patience) })
    }
}
