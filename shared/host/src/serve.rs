//! The work itself: bind, load, serve, drain.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use contract::{HandlerSource, LoadError, env::Settings};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use crate::{
    config::{Config, DrainLimits},
    exit::Exit,
    fatal,
    http::{App, Connections, Listener},
    isolation::{Limits, Pool, Refusal},
    language::{AnyEngine, Language, Loaded},
    lifecycle::{Lifecycle, Phase},
    log::{FunctionLog, LIFECYCLE, Log},
    metrics::Metrics,
    signals::{Finish, Stop},
};

/// Starts serving on threads of its own.
pub(crate) fn on_own_thread(
    language: &'static Language,
    config: Config,
    settings: Settings,
    log: Log,
    started: Instant,
    stop: Stop,
    finish: Finish,
) {
    let work = move || {
        // A panic here is a fault of ours; it must end the process and not leave it deaf.
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let runtime = match runtime(config.io_threads) {
                Ok(runtime) => runtime,
                Err(error) => return internal(language, &format!("cannot start threads for I/O: {error}")),
            };
            let exit = runtime.block_on(serve(language, config, settings, log, started, stop));
            runtime.shutdown_background();
            exit
        }));
        finish.with(served.unwrap_or(Exit::Internal));
    };
    if let Err(error) = thread::Builder::new().name("funchost-io".to_owned()).spawn(work) {
        unreachable!("the first thread of the process cannot be started: {error}");
    }
}

fn internal(language: &Language, message: &str) -> Exit {
    fatal::exit(language.name, Exit::Internal, message)
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        // The thread that waits in `block_on` does not count.
        builder.worker_threads(threads);
    }
    builder.thread_name("funchost-io").enable_all().build()
}

/// One life of a host.
async fn serve(
    language: &'static Language,
    config: Config,
    settings: Settings,
    log: Log,
    started: Instant,
    stop: Stop,
) -> Exit {
    if let Err(error) = stop.hear_on_this_thread() {
        return internal(language, &format!("cannot listen for signals: {error}"));
    }
    let listener = match Listener::bind(config.listen) {
        Ok(listener) => listener,
        Err(error) => {
            let message = format!("cannot listen on {}: {error} (FUNC_ADDRESS, FUNC_PORT)", config.listen);
            return fatal::exit(language.name, Exit::Listen, &message);
        }
    };
    tracing::info!(target: LIFECYCLE, "listening on {}", listener.address);
    let metrics = Arc::new(Metrics::new(log.clone()));
    let limits = config.drain.clone();
    let mut loading = load(language, &config, settings, log, metrics.clone());
    let app = Arc::new(App::new(config, metrics, Lifecycle::new()));
    let connections = Connections::new(app.clone());
    loop {
        tokio::select! {
            () = listener.accept(&connections) => {}
            loaded = &mut loading, if app.lifecycle.phase() == Phase::Loading => match loaded {
                Ok(Ok(engine)) => ready(language, &app, engine, started),
                Ok(Err(error)) => return fatal::exit(language.name, exit_of(&error), &error.to_string()),
                Err(_) => return internal(language, "the engine panicked while it loaded the function"),
            },
            () = stop.asked() => break,
        }
    }
    let exit = drain(&app, listener, &connections, &limits).await;
    app.finish().await;
    exit
}

/// Loads the function, in this process or in workers.
fn load(
    language: &Language,
    config: &Config,
    settings: Settings,
    log: Log,
    metrics: Arc<Metrics>,
) -> oneshot::Receiver<Loaded> {
    let (done, loaded) = oneshot::channel();
    if config.workers > 0 {
        let (workers, limits) = (config.workers, Limits::new(&settings, &config.share));
        tokio::spawn(async move {
            let loaded: Loaded = match Pool::start(workers, limits, log, metrics).await {
                Ok(pool) => Ok(pool),
                Err(Refusal::Load(error)) => Err(error),
                // Dropping the sender tells of it.
                Err(Refusal::Panicked) => return,
            };
            let _ = done.send(loaded);
        });
        return loaded;
    }
    let stray = metrics.stray_failures.clone();
    let source = HandlerSource {
        root: config.root.clone(),
        module: config.module.clone(),
        function: config.context.function_name.clone(),
        context: config.context.clone(),
        settings,
        share: config.share,
        output: Arc::new(FunctionLog(move || stray.inc())),
    };
    // On a thread of its own, which may block for as long as the function's imports take.
    let load = language.load;
    let work = move || {
        let _ = done.send(load(source));
    };
    if let Err(error) = thread::Builder::new().name("funchost-load".to_owned()).spawn(work) {
        unreachable!("the thread that loads the function cannot be started: {error}");
    }
    loaded
}

fn ready(language: &Language, app: &App, engine: Arc<dyn AnyEngine>, started: Instant) {
    let (runtime, took) = (engine.runtime_version(), started.elapsed());
    let (module, function) = (&app.config.module, &app.config.context.function_name);
    tracing::info!(target: LIFECYCLE, "ready: {module}.{function} on {runtime} after {} ms", took.as_millis());
    app.loaded(language.name, engine, took);
}

fn exit_of(error: &LoadError) -> Exit {
    match error {
        LoadError::Runtime(_) => Exit::Language,
        LoadError::NotFound(_) | LoadError::Failed { .. } => Exit::Handler,
    }
}

/// Readiness fails at once; load balancers get time to look away; then what runs is finished.
async fn drain(app: &App, listener: Listener, connections: &Connections, limits: &DrainLimits) -> Exit {
    let mut delay = limits.delay;
    if app.lifecycle.phase() == Phase::Loading {
        // Nobody was ever told to send requests here, and those who did need not wait for what will not come.
        delay = Duration::ZERO;
        app.admission.close();
    }
    app.lifecycle.advance(Phase::Draining);
    tracing::info!(
        target: LIFECYCLE,
        "asked to stop: accepting for {} s more, then finishing what runs within {} s; a second signal ends it now",
        delay.as_secs_f64(),
        limits.timeout.as_secs_f64()
    );
    let _ = tokio::time::timeout(delay, listener.accept(connections)).await;
    listener.close(connections).await;
    app.lifecycle.advance(Phase::Closing);
    let closed = tokio::time::timeout(limits.timeout, connections.closed()).await.is_ok();
    let running = app.metrics.in_flight.get();
    app.lifecycle.advance(Phase::Aborting);
    if closed || running == 0 {
        tracing::info!(target: LIFECYCLE, "stopped");
        return Exit::Done;
    }
    // The engines hear of it before the process goes.
    let _ = tokio::time::timeout(LAST_WORDS, connections.closed()).await;
    tracing::error!(target: LIFECYCLE, "stopped with {running} calls unfinished (SHUTDOWN_TIMEOUT)");
    Exit::Unfinished
}

/// How long connections may take to let go of calls that are given up.
const LAST_WORDS: Duration = Duration::from_millis(200);
