//! A request that reaches the function: its body, its place, its deadline, its reply.

use std::{net::SocketAddr, sync::Arc};

use contract::{Body as Payload, Engine, HandlerError, Invocation, Place, cancel::Canceller};
use http::{Request, Response, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    answer,
    body::{Outgoing, Streamed},
    cors, intake,
    problem::Problem,
    router::App,
};
use crate::call::{CallState, Ended, Leash, Outcome, Record, Running};

/// What the connection knows about a request.
pub(super) struct Arrival {
    pub(super) record: Arc<Record>,
    pub(super) remote: SocketAddr,
    pub(super) deadline: Instant,
}

/// Answers everything that is not the host's own.
pub(super) async fn call<E: Engine>(
    app: &App<E>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Response<Outgoing> {
    let (mut head, body) = request.into_parts();
    if app.config.cors && cors::is_preflight(&head.method, &head.headers) {
        return cors::preflight(&head.headers);
    }
    let admitted = admit(app, &mut head, body, arrival.deadline).await;
    let result = match admitted {
        Ok(admitted) => run(app, &arrival, head, admitted).await,
        Err(problem) => Err(problem),
    };
    // What kept the request from the engine is the host's answer, not the function's.
    let functions = matches!(&result, Ok(_) | Err(Problem::Handler(_) | Problem::TimedOut(_)));
    let mut response = result.unwrap_or_else(|problem| app.refuse(&problem, &arrival.record));
    if functions && app.config.cors {
        cors::allow_any_origin(response.headers_mut());
    }
    response
}

/// What a call needs to run.
type Admitted = (Payload, Place, Arc<CallState>);

/// The body comes first and the place second, so that a client that sends slowly keeps nobody waiting but itself.
async fn admit<E: Engine>(
    app: &App<E>,
    head: &mut Parts,
    body: Incoming,
    deadline: Instant,
) -> Result<Admitted, Problem> {
    let payload = intake::read(body, &mut head.headers, &app.config, deadline).await?;
    let (place, state) = app.admission.enter(deadline).await.map_err(Problem::Full)?;
    Ok((payload, place, state))
}

async fn run<E: Engine>(
    app: &App<E>,
    arrival: &Arrival,
    head: Parts,
    (payload, place, state): Admitted,
) -> Result<Response<Outgoing>, Problem> {
    let Arrival { record, remote, deadline } = arrival;
    let (canceller, cancel) = Canceller::new();
    let leash = Leash {
        canceller,
        state,
        ids: record.ids.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    };
    let invocation = Invocation {
        method: head.method,
        uri: head.uri,
        version: head.version,
        headers: head.headers,
        body: payload,
        remote: *remote,
        ids: record.ids.clone(),
        deadline: deadline.into_std(),
        cancel,
        place,
    };
    record.calls_function();
    let engine = app.engine();
    let timeout = app.config.calls.timeout;
    match Running::new(async move { engine.invoke(invocation).await }, leash, *deadline).await {
        Ended::TimedOut => {
            record.ended(Outcome::Failed);
            Err(Problem::TimedOut(timeout))
        }
        Ended::Replied(Err(error), _) => {
            let refused = matches!(error, HandlerError::BadData(_));
            record.ended(if refused { Outcome::Refused } else { Outcome::Failed });
            Err(Problem::Handler(error))
        }
        Ended::Replied(Ok(mut reply), leash) => {
            let body = match std::mem::take(&mut reply.body) {
                Payload::Empty => Outgoing::empty(),
                Payload::Whole(bytes) => bytes.into(),
                Payload::Stream(stream) => {
                    let streamed = Streamed::new(stream, leash, record.clone(), timeout, *deadline);
                    Outgoing::Streamed(Box::new(streamed))
                }
            };
            Ok(answer::response(&mut reply, body))
        }
    }
}
