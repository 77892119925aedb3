//! The bytes of one client connection: what is watched while the HTTP library reads and writes them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::config::WireLimits;

/// A connection that is closed with unread input waits for the client to take the last answer: closing it at once
/// would reset it, and the answer would be lost (RFC 9112 section 9.6). It waits this long for more input, ...
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// ... and this long altogether.
const LINGER: Duration = Duration::from_secs(30);

/// A client that ends its half of the connection while it is being answered is taken for gone after this time: some
/// only say that they will send no more, and that cannot be told apart.
const HALF_CLOSED: Duration = Duration::from_millis(250);

/// What a connection keeps of the memory for heads when it is done with one.
const KEPT_HEAD: usize = 2048;

/// So many bytes are written in one piece, however many they came in: to write from several places costs the kernel more
/// than it costs to copy them.
const GATHERED: usize = 512;

/// How HTTP/2 begins.
const HTTP2: &[u8] = b"PRI * HTTP/2";

/// No time at all, in the clocks below.
const NEVER: u64 = u64::MAX;

/// Some time in this turn of the connection, which ends with [`Wire::goes_on`]. Most requests are read and answered in
/// one turn, so the time is asked for once, and not with each of their steps.
const THIS_TURN: u64 = u64::MAX - 1;

/// What is known of a connection. Written by [`Tap`] and by the requests on it, read by whoever closes it.
#[derive(Debug)]
pub(super) struct Wire {
    opened: Instant,
    /// Requests that are being answered.
    busy: AtomicUsize,
    http2: AtomicBool,
    closing: AtomicBool,
    /// A request's body has not been read to its end: in how many turns of the parser that will be forgotten.
    unread: AtomicU8,
    /// The connection is about to be dropped.
    over: AtomicBool,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    /// The socket takes nothing more.
    blocked_since: AtomicU64,
    /// There is an answer, or a piece of one, that has not been asked for.
    untaken_since: AtomicU64,
    /// What came since the last request: the head of the next one, and perhaps more. Pipelined heads are not in it.
    head: Mutex<Vec<u8>>,
    head_limit: usize,
}

/// Why a connection is closed.
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
            unread: AtomicU8::new(0),
            over: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            untaken_since: AtomicU64::new(NEVER),
            head: Mutex::new(Vec::new()),
            head_limit: limits.head,
        })
    }

    /// A request has been parsed and is being answered until the guard is dropped. Called as soon as the parser hands
    /// it over, before anything waits: what comes from the client now is no longer about its head.
    pub(super) fn begin_request(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.unread.store(0, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        Busy(self.clone())
    }

    /// The head has been looked at.
    pub(super) fn forget_head(&self) {
        let mut head = self.head();
        head.clear();
        head.shrink_to(KEPT_HEAD);
    }

    /// Whether no request is being answered.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy.load(Relaxed) == 0
    }

    /// What came since the last request, the head that was just parsed first of all.
    pub(super) fn head(&self) -> MutexGuard<'_, Vec<u8>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer that is being sent is the connection's last.
    pub(super) fn expect_close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// The answer that is being sent is to a request whose body nobody will read to its end.
    pub(super) fn leave_unread(&self) {
        self.unread.store(2, Relaxed);
    }

    /// The connection waits. If it has answered everything, and not for its client to take the answer, it waits for
    /// another request: what was left unread has been read away, or the connection would be closing. But only in the
    /// turn after the one in which it has answered does the parser notice that nobody reads the rest.
    pub(super) fn goes_on(&self) {
        self.end_turn();
        let unread = self.unread.load(Relaxed);
        if unread > 0 && self.is_quiet() && self.blocked_since.load(Relaxed) == NEVER {
            self.unread.store(unread - 1, Relaxed);
        }
    }

    /// What has begun in this turn began now.
    fn end_turn(&self) {
        let mut now = None;
        for clock in [&self.idle_since, &self.head_since, &self.untaken_since] {
            if clock.load(Relaxed) == THIS_TURN {
                let now = *now.get_or_insert_with(|| self.now());
                // With HTTP/2, other threads may have another word by now.
                let _ = clock.compare_exchange(THIS_TURN, now, Relaxed, Relaxed);
            }
        }
    }

    /// Nothing more will come from the connection, whatever its parser is in the middle of.
    pub(super) fn end(&self) {
        self.over.store(true, Release);
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Acquire)
    }

    /// Whether it speaks HTTP/2, as its first bytes have told.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// Whether the connection has outstayed a limit, else when to look again.
    pub(super) fn check(&self, limits: &WireLimits) -> Result<Instant, Expired> {
        self.end_turn();
        let since = |clock: &AtomicU64| {
            let ms = clock.load(Relaxed);
            (ms < THIS_TURN).then(|| self.opened + Duration::from_millis(ms))
        };
        let now = Instant::now();
        // A clock that starts after this look must not be overslept.
        let mut next = now + limits.shortest();
        let quiet = self.is_quiet();
        // Between the frames of HTTP/2 a head cannot be told from a ping: there the idle time bounds both.
        let http1 = !self.is_http2();
        for (applies, clock, limit, expired) in [
            (true, &self.blocked_since, limits.body_time, Expired::Blocked),
            (true, &self.untaken_since, limits.body_time, Expired::Blocked),
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
        Ok(next)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(THIS_TURN - 1)
    }

    /// Looks at what the client sent, on its way to the parser.
    fn saw_input(&self, input: &[u8]) {
        if !self.is_quiet() || self.is_http2() {
            return;
        }
        if self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(THIS_TURN, Relaxed);
        }
        let mut head = self.head();
        let room = self.head_limit.saturating_sub(head.len()).min(input.len());
        head.extend_from_slice(&input[..room]);
        if head.starts_with(HTTP2) {
            self.http2.store(true, Relaxed);
        }
    }

    /// Whether input may be left unread when the connection is closed.
    fn may_have_unread_input(&self) -> bool {
        self.closing.load(Relaxed) || self.unread.load(Relaxed) > 0 || self.head_since.load(Relaxed) != NEVER
    }
}

/// Held while a request is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Wire>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Relaxed) == 1 {
            self.0.idle_since.store(THIS_TURN, Relaxed);
            self.0.untaken_since.store(NEVER, Relaxed);
        }
    }
}

impl Busy {
    /// There is something for the client; it is given up when it takes nothing for too long.
    pub(super) fn client_has_to_take(&self) {
        self.0.untaken_since.store(THIS_TURN, Relaxed);
    }

    /// The client has taken everything there is.
    pub(super) fn function_has_to_give(&self) {
        self.0.untaken_since.store(NEVER, Relaxed);
    }
}

/// A stream that tells its [`Wire`] what happens, that gives a client which has closed its half a moment to be
/// answered, and that lingers when it is closed with input unread.
pub(super) struct Tap<S> {
    stream: S,
    wire: Arc<Wire>,
    half_closed: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

/// All of them in one piece, if there is room for it.
fn gather<'a>(bufs: &[io::IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for buf in bufs {
        room.get_mut(end..end + buf.len())?.copy_from_slice(buf);
        end += buf.len();
    }
    Some(&room[..end])
}

struct Linger {
    until: Instant,
    silence: Pin<Box<Sleep>>,
}

impl<S> Tap<S> {
    pub(super) fn new(stream: S, wire: Arc<Wire>) -> Self {
        Self { stream, wire, half_closed: None, linger: None }
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

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let input = &buf.filled()[before..];
        if !input.is_empty() {
            this.wire.saw_input(input);
        } else if room && !this.wire.is_quiet() {
            let timer = this.half_closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_CLOSED)));
            return timer.as_mut().poll(cx).map(Ok);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let mut gathered = [0; GATHERED];
        let written = match gather(bufs, &mut gathered) {
            Some(whole) => stream.poll_write(cx, whole),
            None => stream.poll_write_vectored(cx, bufs),
        };
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
        let linger = this.linger.get_or_insert_with(|| Linger {
            until: Instant::now() + LINGER,
            silence: Box::pin(tokio::time::sleep(LINGER_SILENCE)),
        });
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    let patience = Instant::now() + LINGER_SILENCE;
                    linger.silence.as_mut().reset(patience.min(linger.until));
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.silence.as_mut().poll(cx).map(Ok),
            }
            if Instant::now() >= linger.until {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_buffers_become_one_and_large_ones_stay_where_they_are() {
        let mut room = [0; 8];
        let slices =
            |parts: &[&'static [u8]]| parts.iter().map(|part| io::IoSlice::new(part)).collect::<Vec<_>>();
        assert_eq!(gather(&slices(&[b"abc", b"", b"defgh"]), &mut room), Some(&b"abcdefgh"[..]));
        assert_eq!(gather(&slices(&[b"abcdefgh", b"i"]), &mut room), None);
        assert_eq!(gather(&[], &mut room), Some(&b""[..]));
    }
}
