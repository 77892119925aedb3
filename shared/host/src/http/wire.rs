//! The bytes of one client connection: what is watched while the HTTP library reads and writes them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::strict;
use crate::config::WireLimits;

/// How long a connection that is closed with unread input waits for the client to take the last answer: closing it
/// at once would reset it, and the answer would be lost (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// No time at all, in the clocks below.
const NEVER: u64 = u64::MAX;

/// What is known of a connection. Written by [`Watched`] and by the requests on it, read by whoever closes it.
#[derive(Debug)]
pub(super) struct Wire {
    opened: Instant,
    busy: AtomicUsize,
    http2: AtomicBool,
    closing: AtomicBool,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    /// The head of the next request, as it came, while no request is being answered. A head that was pipelined
    /// behind a request is not in it: there the parser's own way, chunked wins and the connection ends, has to do.
    head: Mutex<Vec<u8>>,
    head_limit: usize,
}

/// Why a connection is closed by its watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing happened on it.
    Idle,
    /// A request head did not arrive in time.
    Head,
    /// The client does not take what is sent.
    Blocked,
}

impl Wire {
    pub(super) fn new(limits: &WireLimits) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            busy: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            head: Mutex::new(Vec::new()),
            head_limit: limits.head,
        })
    }

    /// A request has been parsed and is being answered until the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Busy(self.clone())
    }

    /// Whether the head that was just parsed carries a Content-Length, seen or hidden.
    pub(super) fn head_has_content_length(&self) -> bool {
        strict::has_content_length(&self.head.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer that is being sent is the connection's last.
    pub(super) fn expect_close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Whether the connection has outstayed a limit, else when to look again.
    pub(super) fn check(&self, limits: &WireLimits) -> Result<Instant, Expired> {
        let since = |clock: &AtomicU64| {
            let ms = clock.load(Relaxed);
            (ms != NEVER).then(|| self.opened + Duration::from_millis(ms))
        };
        let now = Instant::now();
        let mut next = now + limits.idle_time;
        let quiet = self.busy.load(Relaxed) == 0;
        // Between the frames of HTTP/2 a head cannot be told from a ping: there the idle time bounds both.
        let http1 = !self.http2.load(Relaxed);
        for (applies, clock, limit, expired) in [
            (true, &self.blocked_since, limits.body_time, Expired::Blocked),
            (quiet && http1, &self.head_since, limits.head_time, Expired::Head),
            (quiet, &self.idle_since, limits.idle_time, Expired::Idle),
        ] {
            if applies && let Some(since) = since(clock) {
                if now >= since + limit {
                    return Err(expired);
                }
                next = next.min(since + limit);
            }
        }
        // A clock that starts after this look must not be overslept.
        Ok(next.min(now + limits.head_time).min(now + limits.body_time))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// Looks at what the client sent, on its way to the parser.
    fn saw_input(&self, input: &[u8]) {
        if self.busy.load(Relaxed) > 0 || input.is_empty() {
            return;
        }
        if self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.now(), Relaxed);
            if input.starts_with(b"PRI * HTTP/2") {
                self.http2.store(true, Relaxed);
            }
        }
        if !self.http2.load(Relaxed) {
            let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            let room = self.head_limit.saturating_sub(head.len()).min(input.len());
            head.extend_from_slice(&input[..room]);
        }
    }

    /// Whether input may be left unread when the connection is closed.
    fn may_have_unread_input(&self) -> bool {
        self.closing.load(Relaxed) || self.head_since.load(Relaxed) != NEVER
    }
}

/// Held while a request is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Wire>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Relaxed) == 1 {
            self.0.idle_since.store(self.0.now(), Relaxed);
        }
    }
}

/// A stream that tells its [`Wire`] what happens, and that lingers when it is closed with input unread.
pub(super) struct Watched<S> {
    stream: S,
    wire: Arc<Wire>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, wire: Arc<Wire>) -> Self {
        Self { stream, wire, linger: None }
    }

    fn note_write<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            if self.wire.blocked_since.load(Relaxed) != NEVER {
                self.wire.blocked_since.store(NEVER, Relaxed);
            }
        } else if self.wire.blocked_since.load(Relaxed) == NEVER {
            self.wire.blocked_since.store(self.wire.now(), Relaxed);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.wire.saw_input(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.wire.may_have_unread_input() {
                return Poll::Ready(Ok(()));
            }
        }
        let timer = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut scratch = [0; 4096];
        while timer.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
