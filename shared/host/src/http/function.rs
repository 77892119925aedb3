//! A request that reaches the function: its body, its place, its deadline, its reply.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use contract::{Body as Payload, BodyError, HandlerError, Invocation, Place, Reply, cancel::Canceller};
use http::{HeaderValue, Response, header, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    answer,
    body::{Flow, Outgoing, Streamed},
    cors,
    inlet::Inlet,
    intake,
    problem::Problem,
    router::App,
    wire::Wire,
};
use crate::call::{CallState, Ended, Leash, Outcome, Record, Running};

/// What the connection knows about a request.
pub(super) struct Arrival<'a> {
    pub(super) record: &'a Arc<Record>,
    pub(super) remote: SocketAddr,
    pub(super) deadline: Instant,
    pub(super) wire: &'a Arc<Wire>,
}

/// Answers everything that is not the host's own.
pub(super) async fn call(
    app: &App,
    arrival: &Arrival<'_>,
    mut head: Box<Parts>,
    body: Incoming,
) -> Response<Outgoing> {
    if app.config.cors && cors::is_preflight(&head.method, &head.headers) {
        return cors::preflight(&head.headers);
    }
    let result = match admit(app, arrival, &mut head, body).await {
        Ok(admitted) => {
            // If the request is given up, the call hears of that first and misses its body then.
            let (inlet, mut running) = start(app, arrival, *head, admitted);
            let ended = until_gone(&mut running, inlet.as_ref()).await;
            ended.map_err(Problem::Body).and_then(|ended| conclude(app, arrival, ended, inlet))
        }
        Err(problem) => Err(problem),
    };
    // What kept the request from the engine is the host's answer, not the function's.
    let functions = matches!(&result, Ok(_) | Err(Problem::Handler(_) | Problem::TimedOut(_)));
    let mut response = result.unwrap_or_else(|problem| app.refuse(&problem, arrival.record));
    if functions && app.config.cors {
        cors::allow_any_origin(response.headers_mut());
    }
    response
}

/// What a call needs to run.
struct Admitted {
    payload: Payload,
    /// The server's end of a streamed payload.
    inlet: Option<Inlet>,
    place: Place,
    state: Arc<CallState>,
}

/// A whole body comes first and the place second, so that a client that sends slowly keeps nobody waiting but itself.
/// A streamed one is read by the call.
async fn admit(
    app: &App,
    arrival: &Arrival<'_>,
    head: &mut Parts,
    body: Incoming,
) -> Result<Admitted, Problem> {
    let enter = || async { app.admission.enter(arrival.deadline).await.map_err(Problem::Full) };
    let source = intake::open(body, &head.headers, &app.config, arrival.deadline, arrival.wire)?;
    let (payload, inlet) = match source {
        None => (Payload::Empty, None),
        Some(source) => {
            let streams = match app.streams_requests() {
                Some(streams) => streams,
                // Early calls wait for the function. Who has got a place knows that it is there.
                None => enter().await.map(drop).map(|()| app.streams_requests() == Some(true))?,
            };
            if streams {
                intake::describe(&mut head.headers);
                let (inlet, stream) = Inlet::new(source, arrival.wire.clone());
                (Payload::Stream(stream), Some(inlet))
            } else {
                (Box::pin(intake::whole(source, &mut head.headers)).await?, None)
            }
        }
    };
    let (place, state) = enter().await?;
    Ok(Admitted { payload, inlet, place, state })
}

/// Hands a call to the engine.
fn start(app: &App, arrival: &Arrival<'_>, head: Parts, admitted: Admitted) -> (Option<Inlet>, Running) {
    let Arrival { record, remote, deadline, .. } = arrival;
    let Admitted { payload, inlet, place, state } = admitted;
    let Parts { method, uri, version, headers, .. } = head;
    let (canceller, cancel) = Canceller::new();
    record.calls_function(state.clone());
    let leash = Leash {
        canceller,
        state,
        ids: record.ids.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    };
    let invocation = Invocation {
        method,
        uri,
        version,
        headers,
        body: payload,
        remote: *remote,
        ids: record.ids.clone(),
        deadline: deadline.into_std(),
        cancel,
        place,
    };
    (inlet, Running::new(app.engine().invoke(invocation), leash, *deadline))
}

/// What has become of a call, as a response.
fn conclude(
    app: &App,
    arrival: &Arrival<'_>,
    ended: Ended,
    inlet: Option<Inlet>,
) -> Result<Response<Outgoing>, Problem> {
    let Arrival { record, deadline, .. } = arrival;
    let timeout = app.config.calls.timeout;
    let failure = inlet.as_ref().and_then(Inlet::failure);
    match (ended, failure) {
        (Ended::TimedOut(blame), _) => {
            if inlet.is_some_and(|inlet| inlet.close_late(timeout)) {
                return Err(BodyError::Late(timeout).into());
            }
            blame.function(timeout);
            record.ended(Outcome::Failed);
            Err(Problem::TimedOut(timeout))
        }
        // Whatever the function made of a body that is not whole.
        (Ended::Replied(reply, leash), Some(failure)) => {
            if let Ok(Reply { body: Payload::Stream(_), .. }) = reply {
                leash.let_go(None);
            }
            Err(failure.into())
        }
        (Ended::Replied(Err(error @ HandlerError::OutOfCpu(_)), leash), None) => {
            record.ended(Outcome::Failed);
            leash.stopped(error.to_string());
            Err(Problem::Handler(error))
        }
        (Ended::Replied(Err(error), _), None) => {
            let refused = matches!(error, HandlerError::BadData(_));
            record.ended(if refused { Outcome::Refused } else { Outcome::Failed });
            Err(Problem::Handler(error))
        }
        (Ended::Replied(Ok(mut reply), leash), None) => {
            let mut unread = false;
            let body = match std::mem::take(&mut reply.body) {
                Payload::Stream(stream) => {
                    let flow = Flow { stream, leash, inlet };
                    let streamed = Streamed::new(flow, (*record).clone(), timeout, *deadline);
                    Outgoing::Streamed(Box::new(streamed))
                }
                whole => {
                    unread = inlet.as_ref().is_some_and(Inlet::ends_connection);
                    match whole {
                        Payload::Whole(bytes) => bytes.into(),
                        _ => Outgoing::empty(),
                    }
                }
            };
            let mut response = answer::response(&mut reply, body);
            if unread {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }
}

/// Waits for a call. If its client goes in the middle of the body, the call is let go of.
async fn until_gone(running: &mut Running, inlet: Option<&Inlet>) -> Result<Ended, BodyError> {
    let Some(inlet) = inlet else { return Ok(running.await) };
    let mut running = Pin::new(running);
    poll_fn(|cx| match running.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Ok(ended)),
        Poll::Pending => inlet.poll_gone(cx).map(|()| Err(BodyError::Gone)),
    })
    .await
}
