//! What happens to every request, whoever answers it: names, a record, the rules for heads, the closing of the
//! connection.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::Router;
use contract::{CallIds, Engine, RequestId, TraceContext};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::{Outgoing, Tracked},
    function::{self, Arrival},
    router::{App, is_host_path, routes},
    strict,
    wire::{Busy, Wire},
};
use crate::{call::Record, lifecycle::Phase, log::AccessLine};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Answers the requests of all connections.
pub(super) struct Front<E> {
    pub(super) app: Arc<App<E>>,
    router: Router,
}

impl<E: Engine> Front<E> {
    pub(super) fn new(app: Arc<App<E>>) -> Self {
        Self { router: routes(app.clone()), app }
    }

    /// One request of the connection `wire`, which is `busy` with it.
    ///
    /// The future is moved before it is polled, and has room for all that it holds on the way, twice for what it passes
    /// on to another one. So it begins only where something is waited for, and the head is boxed.
    pub(super) fn answer(
        self: Arc<Self>,
        wire: Arc<Wire>,
        busy: Busy,
        remote: SocketAddr,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Tracked>, Infallible>> + Send {
        let app = &self.app;
        let arrived = Instant::now();
        let checked = strict::check(&request, app.config.wire.head, &wire.head());
        wire.forget_head();
        if request.version() >= Version::HTTP_2 {
            translate_from_http2(&mut request);
        }
        let ids = identify(request.headers_mut());
        let line = app.config.log.access.then(|| {
            let head = (request.method(), request.uri(), request.version());
            Box::new(AccessLine::new(remote, head, request.headers()))
        });
        let record = Record::start(arrived, ids, request.method().clone(), line, app.metrics.clone());
        let asked = Asked { version: request.version(), head: request.method() == Method::HEAD };
        let deadline = arrived + app.config.calls.timeout;
        let (head, body) = request.into_parts();
        let head = Box::new(head);
        async move {
            let response = match checked {
                Err(problem) => self.app.refuse(&problem, &record),
                Ok(()) if is_host_path(&head.method, head.uri.path()) => {
                    let routed = self.router.clone().call(Request::from_parts(*head, body));
                    // Boxed, because it is rare.
                    Box::pin(routed).await.unwrap_or_else(|never| match never {}).map(Outgoing::Routed)
                }
                Ok(()) => {
                    let arrival = Arrival { record: &record, remote, deadline, wire: &wire };
                    function::call(&self.app, &arrival, head, body).await
                }
            };
            let response = self.finish(&asked, &record, &wire, response);
            Ok(response.map(|body| Tracked::new(body, record, busy)))
        }
    }

    /// What every response gets, whoever made it.
    fn finish(
        &self,
        asked: &Asked,
        record: &Record,
        wire: &Wire,
        mut response: Response<Outgoing>,
    ) -> Response<Outgoing> {
        let status = response.status();
        record.answered(status);
        let headers = response.headers_mut();
        headers.insert(&REQUEST_ID, record.ids.request_id.to_header());
        if asked.version >= Version::HTTP_2 {
            headers.remove(header::CONNECTION);
        } else if self.app.lifecycle.phase() >= Phase::Draining {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if headers.contains_key(header::CONNECTION) {
            wire.expect_close();
        }
        let http2 = asked.version >= Version::HTTP_2;
        let streamed = matches!(response.body(), Outgoing::Streamed(_));
        let bodiless = asked.head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !bodiless || !(http2 || streamed) {
            return response;
        }
        let length = response.body().length().filter(|_| asked.head);
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response.map(Outgoing::omit)
    }
}

/// What the way of answering depends on.
struct Asked {
    version: Version,
    head: bool,
}

/// Finds or makes the names of a request, and hands on our own span as the function's parent.
fn identify(headers: &mut HeaderMap) -> CallIds {
    let given = only(headers, &TRACEPARENT).and_then(TraceContext::parse);
    let span_id = fastrand::u64(1..);
    let trace = match given {
        // Of the flags, this version of the header defines only the first.
        Some(given) => TraceContext { span_id, flags: given.flags & 1, ..given },
        None => TraceContext { trace_id: fastrand::u128(1..), span_id, flags: 0 },
    };
    if given.is_none() {
        // State belongs to the trace it came with.
        headers.remove(&TRACESTATE);
    }
    let (ids, traceparent) = CallIds::new(trace, headers.get(&REQUEST_ID).and_then(RequestId::from_header));
    headers.insert(&TRACEPARENT, traceparent);
    ids
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Functions know requests as HTTP/1.1 has them: with a Host (RFC 9113 section 8.3.1), and with cookies in one piece
/// (section 8.2.3).
fn translate_from_http2<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = host {
        headers.entry(header::HOST).or_insert(host);
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, whole);
    }
}
