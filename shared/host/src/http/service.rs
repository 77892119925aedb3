//! What happens to every request, whoever answers it: names, a record, the rules for heads, the closing of the
//! connection.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::Router;
use contract::{CallIds, RequestId, TraceContext};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::{Outgoing, Tracked},
    fields::{Fields, REQUEST_ID, TRACEPARENT, TRACESTATE},
    function::{self, Arrival},
    router::{App, is_host_path, routes},
    strict,
    wire::{Busy, Wire},
};
use crate::{call::Record, lifecycle::Phase, log::AccessLine};

/// Answers the requests of all connections.
pub(super) struct Front {
    pub(super) app: Arc<App>,
    router: Router,
}

impl Front {
    pub(super) fn new(app: Arc<App>) -> Self {
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
        let fields = Fields::of(request.headers());
        let checked = strict::check(&request, &fields, app.config.wire.head, &wire.head());
        let Names { ids, traceparent, orphaned_state } = Names::of(&fields);
        wire.forget_head();
        if request.version() >= Version::HTTP_2 {
            translate_from_http2(&mut request);
        }
        let headers = request.headers_mut();
        if orphaned_state {
            headers.remove(&TRACESTATE);
        }
        headers.insert(&TRACEPARENT, traceparent);
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

/// What a request is called, by its client or by us.
struct Names {
    ids: CallIds,
    /// For the function: our own span is its parent.
    traceparent: HeaderValue,
    /// There is a `tracestate` without the trace that it came with.
    orphaned_state: bool,
}

impl Names {
    fn of(fields: &Fields<'_>) -> Self {
        let given = fields.traceparent.only().and_then(|value| TraceContext::parse(value.to_str().ok()?));
        let span_id = fastrand::u64(1..);
        let trace = match given {
            // Of the flags, this version of the header defines only the first.
            Some(given) => TraceContext { span_id, flags: given.flags & 1, ..given },
            None => TraceContext { trace_id: fastrand::u128(1..), span_id, flags: 0 },
        };
        let request_id = fields.request_id.first().and_then(RequestId::from_header);
        let (ids, traceparent) = CallIds::new(trace, request_id);
        let orphaned_state = given.is_none() && fields.tracestate.first().is_some();
        Self { ids, traceparent, orphaned_state }
    }
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
