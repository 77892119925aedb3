//! One client connection from accept to close.

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use contract::Engine;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    service::Front,
    wire::{Expired, Watched, Wire},
};
use crate::{config::WireLimits, lifecycle::Phase, metrics::Rejected};

/// The parser's buffer is this much larger than the largest head, so that the head's own limit, which answers with
/// a message, is met first.
const BUFFER_MARGIN: usize = 4;

/// The parser takes no smaller buffer.
const SMALLEST_BUFFER: usize = 8192;

/// Concurrent HTTP/2 streams of one connection.
const MOST_STREAMS: u32 = 256;

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
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_time)
        .keep_alive_timeout(limits.body_time);
    builder
}

/// Serves the connection until one side closes it.
pub(super) async fn serve<E: Engine>(
    front: Arc<Front<E>>,
    protocols: Arc<Builder<TokioExecutor>>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    remote: SocketAddr,
) {
    let app = front.app.clone();
    let limits = &app.config.wire;
    app.metrics.connections.inc();
    let wire = Wire::new(limits);
    let service = service_fn({
        let (front, wire) = (front.clone(), wire.clone());
        move |request| front.clone().answer(wire.clone(), remote, request)
    });
    let io = TokioIo::new(Watched::new(stream, wire.clone()));
    let mut connection = pin!(protocols.serve_connection(io, service));
    let mut watch = pin!(tokio::time::sleep_until(tokio::time::Instant::now() + limits.head_time));
    let mut closing = pin!(app.lifecycle.reached(Phase::Closing));
    let mut told_to_close = false;

    // The order matters for speed: while the connection makes progress, the others are only looked at.
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Closed::Broken));
            }
            if !told_to_close && closing.as_mut().poll(cx).is_ready() {
                told_to_close = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if watch.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match wire.check(limits) {
                Ok(next) => watch.as_mut().reset(next),
                Err(expired) => return Poll::Ready(Err(Closed::Expired(expired))),
            }
        }
    })
    .await;
    if let Err(closed) = ended {
        closed.report(remote, &app.metrics);
    }
    app.metrics.connections.dec();
}

/// Why a connection ended that was not simply closed.
enum Closed {
    Expired(Expired),
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl Closed {
    fn report(&self, remote: SocketAddr, metrics: &crate::metrics::Metrics) {
        match self {
            Self::Expired(Expired::Idle) => {}
            Self::Expired(expired) => {
                metrics.rejected(Rejected::SlowClient);
                tracing::debug!(%remote, "closed a connection that made no progress: {expired:?}");
            }
            Self::Broken(error) => {
                let refused = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse());
                if let Some(error) = refused {
                    let too_large = error.is_parse_too_large();
                    metrics.rejected(if too_large { Rejected::HeadTooLarge } else { Rejected::Malformed });
                    tracing::info!(%remote, "refused what is not valid HTTP: {error}");
                } else {
                    tracing::debug!(%remote, "the connection broke: {error}");
                }
            }
        }
    }
}
