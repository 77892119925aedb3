//! One client connection from accept to close.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Relaxed, Release},
        },
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use atomic_waker::AtomicWaker;
use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    service::Front,
    wire::{Expired, Tap, Wire},
};
use crate::{
    config::WireLimits,
    lifecycle::Phase,
    log::AccessLine,
    metrics::{Metrics, Rejected},
};

/// The parser's buffer is this much larger than the largest head, so that the head's own limit, which answers with
/// a message, is met first.
const BUFFER_MARGIN: usize = 4;

/// The parser takes no smaller buffer.
const SMALLEST_BUFFER: usize = 8192;

/// Concurrent HTTP/2 streams of one connection.
const MOST_STREAMS: u32 = 256;

/// What a client may send of a body on an HTTP/2 stream before it is read: enough for a gigabit a second if an
/// acknowledgement takes a millisecond. A connection has as much for each of its streams, so that a function which does
/// not read stops its own client and nobody beside it.
const STREAM_WINDOW: u32 = 128 << 10;

/// HTTP/1.1 and HTTP/2 with prior knowledge, told apart by their first bytes.
pub(super) fn protocols(limits: &WireLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The wire's own watch tells an idle connection from a half-sent head, which the library's timer does not.
        .header_read_timeout(None)
        .max_buf_size((limits.head * BUFFER_MARGIN).max(SMALLEST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(MOST_STREAMS * STREAM_WINDOW)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_time)
        .keep_alive_timeout(limits.body_time);
    builder
}

/// When the host closes, an idle connection is kept for this long: its client, who does not know, may have sent a request
/// already, or be about to.
const NEXT_REQUEST: Duration = Duration::from_millis(250);

/// When the host closes, a connection without a request to be answered is dropped after this time, whatever its
/// client does.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Serves the connection until one side closes it.
pub(super) async fn serve(
    front: Arc<Front>,
    protocols: Arc<Builder<TokioExecutor>>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    remote: SocketAddr,
) {
    let app = front.app.clone();
    let limits = &app.config.wire;
    let _counted = Counted::new(&app.metrics.connections);
    let wire = Wire::new(limits);
    let service = service_fn({
        let (front, wire) = (front.clone(), wire.clone());
        move |request| front.clone().answer(wire.clone(), wire.begin_request(), remote, request)
    });
    let io = TokioIo::new(Tap::new(stream, wire.clone()));
    let mut connection = pin!(protocols.serve_connection(io, service));
    // Dropped before the connection is.
    let _end = End(wire.clone());
    let mut look_again = pin!(tokio::time::sleep_until(Instant::now() + limits.shortest()));
    let mut next_phase = pin!(app.lifecycle.reached(Phase::Closing));
    let mut closing: Option<Instant> = None;
    let mut told = false;
    let bell = Arc::new(Bell::default());
    let rings = Waker::from(bell.clone());

    let ended = poll_fn(|cx| {
        bell.wakes(cx);
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Closed::Broken));
            }
            wire.goes_on();
            if closing.is_none() && !bell.has_rung() {
                return Poll::Pending;
            }
            let cx = &mut Context::from_waker(&rings);
            if next_phase.as_mut().poll(cx).is_ready() {
                if closing.is_some() {
                    return Poll::Ready(Ok(()));
                }
                closing = Some(Instant::now());
                next_phase.set(app.lifecycle.reached(Phase::Aborting));
                look_again.as_mut().reset(Instant::now() + NEXT_REQUEST);
                continue;
            }
            if let Some(since) = closing {
                let waited = since.elapsed();
                if !told && (!wire.is_quiet() || waited >= NEXT_REQUEST) {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                    look_again.as_mut().reset(since + LAST_REQUEST);
                    continue;
                }
                if waited >= LAST_REQUEST && wire.is_quiet() {
                    return Poll::Ready(Ok(()));
                }
            }
            while look_again.as_mut().poll(cx).is_ready() {
                match wire.check(limits) {
                    Ok(next) => look_again.as_mut().reset(next),
                    Err(expired) => return Poll::Ready(Err(Closed::Expired(expired))),
                }
            }
            return Poll::Pending;
        }
    })
    .await;
    if let Err(closed) = ended {
        closed.report(remote, &app.metrics, app.config.log.access);
    }
}

/// Tells a connection's task that something besides the connection itself has happened: polling for that each time the task
/// runs would cost a request a twentieth of its time.
struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

/// Rung at first, so that both are polled once and know whom to wake.
impl Default for Bell {
    fn default() -> Self {
        Self { rung: AtomicBool::new(true), task: AtomicWaker::new() }
    }
}

impl Bell {
    /// From now on it wakes this task.
    fn wakes(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Whether it has rung since this was asked last.
    fn has_rung(&self) -> bool {
        self.rung.load(Relaxed) && self.rung.swap(false, AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Release);
        self.task.wake();
    }
}

/// Says that a connection is about to be dropped, with whatever is in the middle of being read from it.
struct End(Arc<Wire>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An open connection in the metrics.
struct Counted<'a>(&'a IntGauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Why a connection ended that was not simply closed.
enum Closed {
    Expired(Expired),
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl Closed {
    fn report(&self, remote: SocketAddr, metrics: &Metrics, access_log: bool) {
        match self {
            Self::Expired(Expired::Idle) => {}
            Self::Expired(expired) => {
                metrics.rejected(Rejected::SlowClient);
                tracing::debug!(%remote, "closed a connection that made no progress: {expired:?}");
            }
            Self::Broken(error) => match error.downcast_ref::<hyper::Error>() {
                Some(error) if error.is_parse() => {
                    let (reason, status) = refusal(error);
                    metrics.rejected(reason);
                    if access_log {
                        AccessLine::write_refused(remote, status.as_u16());
                    }
                    tracing::info!(%remote, "refused what is not valid HTTP: {error}");
                }
                _ => tracing::debug!(%remote, "the connection broke: {error}"),
            },
        }
    }
}

/// What the parser has answered. It does not say so itself, and of a request target that is too long it tells only
/// in its message.
fn refusal(error: &hyper::Error) -> (Rejected, StatusCode) {
    if error.is_parse_too_large() {
        (Rejected::HeadTooLarge, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else if error.to_string().contains("URI too long") {
        (Rejected::HeadTooLarge, StatusCode::URI_TOO_LONG)
    } else {
        (Rejected::Malformed, StatusCode::BAD_REQUEST)
    }
}
