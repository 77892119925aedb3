//! A request that reaches the function: its body, its place, its deadline, its reply.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use contract::{Body as Payload, Engine, HandlerError, Invocation, cancel::Canceller};
use tokio::time::Instant;

use super::{answer, body::Streamed, cors, intake, problem::Problem, router::App};
use crate::call::{Ended, Outcome, Record, Running, Watch};

/// What the connection knows about a request; travels with it through the router.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) record: Arc<Record>,
    pub(super) remote: SocketAddr,
    pub(super) deadline: Instant,
}

/// The router's fallback: everything that is not the host's own.
pub(super) async fn call<E: Engine>(State(app): State<Arc<App<E>>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let Some(arrival) = head.extensions.remove::<Arrival>() else {
        unreachable!("every request has arrived")
    };
    if app.config.cors && cors::is_preflight(&head.method, &head.headers) {
        return cors::preflight(&head.headers);
    }
    let Arrival { record, remote, deadline } = arrival;
    let result = match admit(&app, &mut head, body, deadline).await {
        Ok((payload, place, state)) => {
            let (canceller, cancel) = Canceller::new();
            let watch = Watch { canceller, state, ids: record.ids.clone(), metrics: app.metrics.clone() };
            let invocation = Invocation {
                method: head.method,
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                body: payload,
                remote,
                ids: record.ids.clone(),
                deadline: deadline.into_std(),
                cancel,
                place,
            };
            record.calls_function();
            let engine = app.engine();
            let ended = Running::new(async move { engine.invoke(invocation).await }, watch, deadline).await;
            reply(&app, ended, &record, deadline)
        }
        Err(problem) => Err(problem),
    };
    let called = !matches!(&result, Err(problem) if problem.rejected().is_some());
    let mut response = result.unwrap_or_else(|problem| app.refuse(&problem, &record));
    if called && app.config.cors {
        cors::allow_any_origin(response.headers_mut());
    }
    response
}

/// The body comes first and the place second, so that a client that sends slowly keeps nobody waiting but itself.
async fn admit<E: Engine>(
    app: &App<E>,
    head: &mut http::request::Parts,
    body: Body,
    deadline: Instant,
) -> Result<(Payload, contract::Place, Arc<crate::call::CallState>), Problem> {
    let payload = intake::read(body, &mut head.headers, &app.config.wire, deadline).await?;
    let (place, state) = app.admission.enter(deadline).await.map_err(Problem::Full)?;
    Ok((payload, place, state))
}

fn reply<E: Engine>(
    app: &App<E>,
    ended: Ended,
    record: &Arc<Record>,
    deadline: Instant,
) -> Result<Response, Problem> {
    let timeout = app.config.calls.timeout;
    match ended {
        Ended::TimedOut => {
            record.ended(Outcome::Failed);
            Err(Problem::TimedOut(timeout))
        }
        Ended::Replied(Err(error), _) => {
            let refused = matches!(error, HandlerError::BadData(_));
            record.ended(if refused { Outcome::Refused } else { Outcome::Failed });
            Err(Problem::Handler(error))
        }
        Ended::Replied(Ok(mut reply), watch) => {
            let body = match std::mem::take(&mut reply.body) {
                Payload::Empty => Body::empty(),
                Payload::Whole(bytes) => Body::from(bytes),
                Payload::Stream(stream) => {
                    Body::new(Streamed::new(stream, watch, record.clone(), timeout, deadline))
                }
            };
            Ok(answer::response(&mut reply, body))
        }
    }
}
