//! Streamed bodies on their way through a link, in either direction.
//!
//! A reply's reader lets the writer send so many bytes and, as it takes them, as many again: a body that nobody reads
//! stops its own writer and nobody else's. A request's reader asks for each piece: what is asked of the client is what
//! the function waits for, and only that may stall.

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use atomic_waker::AtomicWaker;
use bytes::{BufMut as _, Bytes, BytesMut};
use contract::{BodyStream, HandlerError};
use futures_core::Stream;

use super::{
    errors::put_error,
    frame::{Kind, Malformed},
    link::{Link, PIECE},
};

/// Bytes that may be on their way without having been taken.
const WINDOW: usize = 2 * PIECE;

/// What is said of an engine that panics.
pub(super) fn panicked() -> HandlerError {
    HandlerError::Lost("the engine panicked".to_owned())
}

/// The writer's leave to send.
#[derive(Debug)]
pub(super) struct Credit {
    /// Bytes that may be sent.
    left: AtomicI64,
    /// Each piece is asked for.
    on_demand: bool,
    unread: AtomicBool,
    changed: AtomicWaker,
}

impl Credit {
    /// For a reply.
    pub(super) fn ahead() -> Self {
        Self::new(WINDOW as i64, false)
    }

    /// For a request.
    pub(super) fn on_demand() -> Self {
        Self::new(0, true)
    }

    fn new(left: i64, on_demand: bool) -> Self {
        let (left, unread) = (AtomicI64::new(left), AtomicBool::new(false));
        Self { left, on_demand, unread, changed: AtomicWaker::new() }
    }

    /// The reader has taken so many bytes.
    pub(super) fn taken(&self, bytes: u32) {
        self.left.fetch_add(i64::from(bytes), Ordering::AcqRel);
        self.changed.wake();
    }

    /// Nobody reads any more.
    pub(super) fn unread(&self) {
        self.unread.store(true, Ordering::Release);
        self.changed.wake();
    }

    fn poll<T>(&self, cx: &Context<'_>, look: impl Fn(&Self) -> Option<T>) -> Poll<T> {
        if let Some(seen) = look(self) {
            return Poll::Ready(seen);
        }
        self.changed.register(cx.waker());
        look(self).map_or(Poll::Pending, Poll::Ready)
    }

    fn is_unread(&self) -> Option<()> {
        self.unread.load(Ordering::Acquire).then_some(())
    }

    /// Waits for leave to send; `false` when nobody reads any more.
    async fn may_send(&self) -> bool {
        let leave = |credit: &Self| match credit.is_unread() {
            Some(()) => Some(false),
            None => (credit.left.load(Ordering::Acquire) > 0).then_some(true),
        };
        poll_fn(|cx| self.poll(cx, leave)).await
    }

    /// Sends `stream` to its end, or until nobody reads it.
    pub(super) async fn pump(&self, link: &Link, call: u32, mut stream: BodyStream) {
        loop {
            if self.on_demand && !self.may_send().await {
                return;
            }
            let next = poll_fn(|cx| match self.poll(cx, Self::is_unread) {
                Poll::Ready(()) => Poll::Ready(None),
                // A panic ends the body, and must not end it without a word.
                Poll::Pending => catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(cx)))
                    .unwrap_or_else(|_| Poll::Ready(Some(Err(panicked()))))
                    .map(Some),
            });
            let mut piece = match next.await {
                None => return,
                Some(Some(Ok(piece))) => piece,
                Some(Some(Err(error))) => {
                    return link.send(Kind::Broken, call, |buffer| put_error(buffer, &error));
                }
                Some(None) => return link.send(Kind::End, call, |_| {}),
            };
            if self.on_demand {
                self.left.store(0, Ordering::Release);
            }
            while !piece.is_empty() {
                // What was asked for is sent as a whole.
                if !self.on_demand && !self.may_send().await {
                    return;
                }
                let part = piece.split_to(piece.len().min(PIECE));
                if !self.on_demand {
                    self.left.fetch_sub(part.len() as i64, Ordering::AcqRel);
                }
                link.send_with(Kind::Piece, call, |_| {}, part);
            }
        }
    }
}

/// What has arrived of a body and has not been taken.
#[derive(Debug, Default)]
pub(super) struct Inbound(Mutex<Arrived>);

#[derive(Debug, Default)]
struct Arrived {
    pieces: VecDeque<Bytes>,
    held: usize,
    end: Option<Result<(), HandlerError>>,
    /// Nobody will take anything any more.
    unread: bool,
    reader: Option<Waker>,
}

impl Inbound {
    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece has come. A writer that sends more of a reply than it may is refused.
    pub(super) fn piece_ahead(&self, piece: Bytes) -> Result<(), Malformed> {
        if self.arrived().held > WINDOW {
            return Err(Malformed);
        }
        self.piece(piece);
        Ok(())
    }

    /// A piece has come.
    pub(super) fn piece(&self, piece: Bytes) {
        let mut arrived = self.arrived();
        if arrived.unread {
            return;
        }
        arrived.held += piece.len();
        arrived.pieces.push_back(piece);
        Self::wake(arrived);
    }

    /// Nothing more will come. The first end stays.
    pub(super) fn end(&self, end: Result<(), HandlerError>) {
        let mut arrived = self.arrived();
        arrived.end.get_or_insert(end);
        Self::wake(arrived);
    }

    fn wake(mut arrived: MutexGuard<'_, Arrived>) {
        let reader = arrived.reader.take();
        drop(arrived);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The reader's end of a body.
pub(super) struct Incoming {
    pub(super) inbound: Arc<Inbound>,
    pub(super) link: Arc<Link>,
    pub(super) call: u32,
    /// Bytes that were taken and that the writer has not been told of.
    taken: usize,
    /// Each piece has to be asked for.
    on_demand: bool,
    asked: bool,
}

impl Incoming {
    /// Of a reply.
    pub(super) fn ahead(inbound: Arc<Inbound>, link: Arc<Link>, call: u32) -> Self {
        Self { inbound, link, call, taken: 0, on_demand: false, asked: false }
    }

    /// Of a request.
    pub(super) fn on_demand(inbound: Arc<Inbound>, link: Arc<Link>, call: u32) -> Self {
        Self { inbound, link, call, taken: 0, on_demand: true, asked: false }
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let inbound = self.inbound.clone();
        let mut arrived = inbound.arrived();
        if let Some(piece) = arrived.pieces.pop_front() {
            arrived.held -= piece.len();
            let ended = arrived.end.is_some();
            drop(arrived);
            self.taken += piece.len();
            self.asked = false;
            if !self.on_demand && self.taken >= WINDOW / 2 && !ended {
                let taken = std::mem::take(&mut self.taken) as u32;
                self.link.send(Kind::Taken, self.call, |buffer| buffer.put_u32_le(taken));
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match arrived.end.replace(Ok(())) {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                arrived.end = None;
                match &mut arrived.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                drop(arrived);
                if self.on_demand && !std::mem::replace(&mut self.asked, true) {
                    self.link.send(Kind::Taken, self.call, |buffer| buffer.put_u32_le(1));
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut arrived = self.inbound.arrived();
        arrived.unread = true;
        arrived.pieces.clear();
        let ended = arrived.end.is_some();
        drop(arrived);
        if !ended {
            self.link.send(Kind::Unread, self.call, |_| {});
        }
    }
}

/// A whole body that comes in pieces.
#[derive(Debug)]
pub(super) struct Assembly {
    bytes: BytesMut,
    size: u64,
}

/// What is set aside before anything has come; the announced size is only believed as far as it comes true.
const FIRST: u64 = 1024 * 1024;

impl Assembly {
    pub(super) fn of(size: u64) -> Self {
        Self { bytes: BytesMut::with_capacity(size.min(FIRST) as usize), size }
    }

    /// Adds a piece; the whole body once it is complete.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<Option<Bytes>, Malformed> {
        self.bytes.extend_from_slice(piece);
        match (self.bytes.len() as u64).cmp(&self.size) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some(std::mem::take(&mut self.bytes).freeze())),
            std::cmp::Ordering::Greater => Err(Malformed),
        }
    }
}
