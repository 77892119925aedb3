//! What happens to every request, whoever answers it: names, a record, the rules for heads, the closing of the
//! connection.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::Router;
use contract::{CallIds, Engine, RequestId, TraceContext};
use http::{HeaderName, HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    body::{Outgoing, Tracked},
    function::{self, Arrival},
    problem::Problem,
    router::{App, is_hosts, routes},
    strict,
    wire::Wire,
};
use crate::{call::Record, lifecycle::Phase, log::AccessLine};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Answers the requests of all connections.
pub(super) struct Front<E> {
    pub(super) app: Arc<App<E>>,
    router: Router,
}

impl<E: Engine> Front<E> {
    pub(super) fn new(app: Arc<App<E>>) -> Self {
        Self { router: routes(app.clone()), app }
    }

    /// One request of the connection `wire`.
    pub(super) async fn answer(
        self: Arc<Self>,
        wire: Arc<Wire>,
        remote: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<Response<Tracked>, Infallible> {
        let app = &self.app;
        let arrived = Instant::now();
        let deadline = arrived + app.config.calls.timeout;
        let ambiguous =
            request.headers().contains_key(header::TRANSFER_ENCODING) && wire.head_has_content_length();
        let busy = wire.begin_request();
        let ids = name(request.headers_mut());
        let line = app.config.log.access.then(|| {
            let head = (request.method(), request.uri(), request.version());
            AccessLine::new(remote, head, request.headers())
        });
        let record =
            Record::start(arrived.into_std(), ids, request.method().clone(), line, app.metrics.clone());
        let http1 = request.version() < Version::HTTP_2;

        let problem = if ambiguous {
            Some(Problem::Malformed("the request has both Content-Length and Transfer-Encoding".to_owned()))
        } else {
            strict::check(&request, app.config.wire.head).err()
        };
        let mut response = match problem {
            Some(problem) => app.refuse(&problem, &record),
            None if is_hosts(request.method(), request.uri().path()) => {
                let routed = self.router.clone().call(request).await;
                routed.unwrap_or_else(|never| match never {}).map(Outgoing::Routed)
            }
            None => {
                let arrival = Arrival { record: record.clone(), remote, deadline };
                function::call(app, arrival, request).await
            }
        };

        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, record.ids.request_id.to_header());
        if !http1 {
            headers.remove(header::CONNECTION);
        } else if app.lifecycle.phase() >= Phase::Draining {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if headers.contains_key(header::CONNECTION) {
            wire.expect_close();
        }
        record.answered(response.status());
        Ok(response.map(|body| Tracked::new(body, record, busy)))
    }
}

/// Finds or makes the names of a request, and hands on our own span as the function's parent.
fn name(headers: &mut http::HeaderMap) -> CallIds {
    let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceContext::parse);
    let span_id = fastrand::u64(1..);
    let trace = match given {
        Some(given) => TraceContext { span_id, ..given },
        None => TraceContext { trace_id: fastrand::u128(1..), span_id, flags: 0 },
    };
    if given.is_none() {
        // State belongs to the trace it came with.
        headers.remove(HeaderName::from_static("tracestate"));
    }
    headers.insert(TRACEPARENT, trace.to_header());
    let request_id = headers
        .get(REQUEST_ID)
        .and_then(RequestId::from_header)
        .unwrap_or_else(|| RequestId::from_trace(&trace));
    CallIds { request_id, trace }
}
