//! Which path is the host's and which is the function's.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Method, StatusCode, header};

use super::{body::Outgoing, problem::Problem};
use crate::{
    call::{Admission, Record},
    config::Config,
    language::AnyEngine,
    lifecycle::{Lifecycle, Phase},
    metrics::Metrics,
};

/// Everything that requests share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Admission,
    pub(crate) lifecycle: Lifecycle,
    engine: OnceLock<Arc<dyn AnyEngine>>,
}

impl App {
    pub(crate) fn new(config: Config, metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Self {
        let admission = Admission::new(&config.calls, metrics.clone());
        Self { config, metrics, admission, lifecycle, engine: OnceLock::new() }
    }

    /// The function is there, so long after the start of the process: calls that waited for it go on.
    pub(crate) fn loaded(&self, language: &str, engine: Arc<dyn AnyEngine>, cold_start: Duration) {
        self.metrics.loaded(language, &engine.runtime_version(), cold_start);
        let most = self.config.calls.concurrency;
        let places = engine.capacity().map_or(most, |capacity| capacity.get().min(most));
        let _ = self.engine.set(engine);
        self.admission.open(places);
        self.lifecycle.ready();
    }

    /// Whether the function takes bodies as they come; not known before it is loaded.
    pub(super) fn streams_requests(&self) -> Option<bool> {
        self.engine.get().map(|engine| engine.streams_requests())
    }

    /// Only those who hold a place ask, and there are no places before the function is loaded.
    pub(super) fn engine(&self) -> Arc<dyn AnyEngine> {
        match self.engine.get() {
            Some(engine) => engine.clone(),
            None => unreachable!("a call was admitted before the function was loaded"),
        }
    }

    /// Ends what the engine has outside of this process, and waits for that.
    pub(crate) async fn finish(&self) {
        if let Some(engine) = self.engine.get() {
            engine.finish().await;
        }
    }

    /// Counts and logs a problem and makes the response for it.
    pub(super) fn refuse(&self, problem: &Problem, record: &Record) -> http::Response<Outgoing> {
        if let Some(reason) = problem.rejected() {
            self.metrics.rejected(reason);
        }
        problem.log(&record.ids);
        problem.response(self.config.error_detail)
    }
}

/// GET and HEAD of these paths are the host's; every other method and path is the function's.
const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";
const METRICS: &str = "/metrics";

/// Whether a request is the host's. The function's requests, which are nearly all, do not pass through the router:
/// its boxing and matching took 3,800 of the 22,300 instructions that one cost (callgrind, an engine that does nothing).
pub(super) fn is_host_path(method: &Method, path: &str) -> bool {
    matches!(path, HEALTHZ | READYZ | METRICS) && (method == Method::GET || method == Method::HEAD)
}

/// How long the engine may take to say how it does.
const GAUGES: Duration = Duration::from_millis(500);

/// The host's own routes.
pub(super) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route(HEALTHZ, get(healthz))
        .route(READYZ, get(readyz))
        .route(METRICS, get(metrics))
        .with_state(app)
}

/// Alive: the host answers, and a restart would not help. It fails only when every place is taken by a stuck call.
async fn healthz(State(app): State<Arc<App>>) -> Response {
    if app.admission.all_stuck() {
        return unavailable("every place is taken by a call that does not stop");
    }
    ok("OK")
}

/// Ready: new calls may be sent here.
async fn readyz(State(app): State<Arc<App>>) -> Response {
    match app.lifecycle.phase() {
        Phase::Loading => unavailable("the function is being loaded"),
        Phase::Draining | Phase::Closing | Phase::Aborting => unavailable("the host is shutting down"),
        Phase::Ready if app.engine.get().is_some_and(|engine| !engine.serves()) => {
            unavailable("no worker is alive")
        }
        Phase::Ready if app.admission.too_many_stuck() => unavailable("too many calls do not stop"),
        Phase::Ready => ok("OK"),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    if let Some(engine) = app.engine.get() {
        // A language that is too busy to say so must not keep anybody from the rest.
        if let Ok(gauges) = tokio::time::timeout(GAUGES, engine.gauges()).await {
            app.metrics.engine(&gauges);
        }
    }
    ([(header::CONTENT_TYPE, text)], app.metrics.render()).into_response()
}

fn ok(text: &'static str) -> Response {
    plain(StatusCode::OK, text)
}

fn unavailable(text: &'static str) -> Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
