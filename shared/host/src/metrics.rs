//! Every metric of a host. The three `function_*` families keep the names and the label that Kubeless dashboards use.

use std::{sync::OnceLock, time::Duration};

use contract::{CancelReason, Gauges};
use http::Method;
use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, process_collector::ProcessCollector,
};

use crate::log::Log;

/// Why a request never reached the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Not HTTP, or HTTP that two readers could understand differently.
    Malformed,
    /// Request line or header block too large.
    HeadTooLarge,
    /// Body over the payload limit.
    BodyTooLarge,
    /// A body that cannot be decoded: unknown or broken content coding, or not the JSON it claims to be.
    BadBody,
    /// The client stopped sending half-way through a head or a body.
    SlowClient,
    /// The queue was full.
    QueueFull,
    /// The call waited for its turn too long.
    QueueWait,
    /// The host was told to stop before it could serve.
    Closing,
}

impl Rejected {
    const ALL: [Self; 8] = [
        Self::Malformed,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::BadBody,
        Self::SlowClient,
        Self::QueueFull,
        Self::QueueWait,
        Self::Closing,
    ];

    /// The `reason` label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BadBody => "bad_body",
            Self::SlowClient => "slow_client",
            Self::QueueFull => "queue_full",
            Self::QueueWait => "queue_wait",
            Self::Closing => "closing",
        }
    }
}

/// Why a worker process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    /// It could not load the function.
    Start,
    /// It was asked to, because it had been replaced or the host ends.
    Finished,
    /// By itself: user code or the language's runtime has ended the process.
    Exit,
    /// By a signal that the host has not sent.
    Signal,
    /// Killed because a call did not stop.
    Stuck,
    /// Killed because there was too little memory.
    Memory,
    /// Killed because it had let go of its connection to the host.
    Unlinked,
    /// Killed because it did not end when it was asked to.
    Late,
}

impl WorkerEnd {
    const ALL: [Self; 8] = [
        Self::Start,
        Self::Finished,
        Self::Exit,
        Self::Signal,
        Self::Stuck,
        Self::Memory,
        Self::Unlinked,
        Self::Late,
    ];

    /// The `cause` label.
    fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Finished => "finished",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Stuck => "killed_stuck",
            Self::Memory => "killed_memory",
            Self::Unlinked => "killed_unlinked",
            Self::Late => "killed_late",
        }
    }
}

/// The registry and the handles that are used per request, so that no label is looked up then.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: IntCounterVec,
    failures: IntCounterVec,
    durations: HistogramVec,
    by_method: [OnceLock<MethodSeries>; METHODS.len() + 1],
    rejected: [IntCounter; Rejected::ALL.len()],
    cancelled: [IntCounter; CancelReason::ALL.len()],
    worker_ends: [IntCounter; WorkerEnd::ALL.len()],
    /// Worker processes that have loaded the function.
    pub(crate) worker_starts: IntCounter,
    /// Worker processes that get calls.
    pub(crate) workers: IntGauge,
    /// Those of them that have any.
    pub(crate) workers_busy: IntGauge,
    engine_tasks: IntGauge,
    engine_lock_wait: Counter,
    engine_loop_lag: Gauge,
    /// Calls whose user code may be running.
    pub(crate) in_flight: IntGauge,
    /// Cancelled calls whose user code still runs a second later.
    pub(crate) stuck: IntGauge,
    /// Calls waiting for their turn.
    pub(crate) queue_length: IntGauge,
    /// How long calls waited; those that did not have to wait are not in it.
    pub(crate) queue_wait: Histogram,
    /// Open client connections.
    pub(crate) connections: IntGauge,
    /// Errors that no reply could carry.
    pub(crate) stray_failures: IntCounter,
    /// Processor time of calls, as far as it is known.
    pub(crate) cpu_seconds: Counter,
    cold_start: Gauge,
    build: IntGaugeVec,
    log_lines_dropped: IntCounter,
    /// Lines that workers have written faster than they may.
    pub(crate) worker_lines_dropped: IntCounter,
    log: Log,
}

/// The series of one HTTP method.
#[derive(Debug)]
struct MethodSeries {
    calls: IntCounter,
    failures: IntCounter,
    duration: Histogram,
}

/// Methods with series of their own. A client may invent methods, so all others share the label `other`: the number
/// of series must not be in a client's hands.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
];

impl Metrics {
    /// `log` knows how many of its lines were lost because nobody read them.
    pub(crate) fn new(log: Log) -> Self {
        let all = Registry::new();
        // It cannot be cloned, so it goes its own way.
        all.register(Box::new(ProcessCollector::for_self())).unwrap_or_else(|error| unreachable!("{error}"));
        let vector = |name: &str, help: &str| Opts::new(name, help);
        let rejected = register(
            &all,
            IntCounterVec::new(
                vector(
                    "funchost_rejected_total",
                    "Requests refused before the function was called, or because of a streamed body.",
                ),
                &["reason"],
            ),
        );
        let cancelled = register(
            &all,
            IntCounterVec::new(
                vector("funchost_cancelled_total", "Calls that were cancelled while they ran."),
                &["reason"],
            ),
        );
        let worker_ends = register(
            &all,
            IntCounterVec::new(
                vector("funchost_worker_exits_total", "Worker processes that have ended."),
                &["cause"],
            ),
        );
        let gauge = |name, help| register(&all, IntGauge::new(name, help));
        Self {
            worker_ends: WorkerEnd::ALL.map(|end| worker_ends.with_label_values(&[end.label()])),
            worker_starts: register(
                &all,
                IntCounter::new(
                    "funchost_worker_starts_total",
                    "Worker processes that have loaded the function.",
                ),
            ),
            workers: gauge("funchost_workers", "Worker processes that calls are given to."),
            workers_busy: gauge("funchost_workers_busy", "Worker processes that run a call."),
            engine_tasks: gauge(
                "funchost_engine_tasks",
                "Tasks of the language, such as goroutines, where it tells.",
            ),
            engine_lock_wait: register(
                &all,
                Counter::new(
                    "funchost_engine_lock_wait_seconds_total",
                    "Time that threads waited for the lock of the language, where it has one.",
                ),
            ),
            engine_loop_lag: register(
                &all,
                Gauge::new(
                    "funchost_engine_loop_lag_seconds",
                    "By how much the language's event loop is late, where it has one.",
                ),
            ),
            calls: register(
                &all,
                IntCounterVec::new(
                    vector("function_calls_total", "Calls of the user function."),
                    &["method"],
                ),
            ),
            failures: register(
                &all,
                IntCounterVec::new(
                    vector(
                        "function_failures_total",
                        "Calls of the user function that failed or ran past their deadline.",
                    ),
                    &["method"],
                ),
            ),
            durations: register(
                &all,
                HistogramVec::new(
                    HistogramOpts::new("function_duration_seconds", "Time that the user function took."),
                    &["method"],
                ),
            ),
            by_method: std::array::from_fn(|_| OnceLock::new()),
            rejected: Rejected::ALL.map(|reason| rejected.with_label_values(&[reason.label()])),
            cancelled: CancelReason::ALL.map(|reason| cancelled.with_label_values(&[reason.label()])),
            in_flight: register(
                &all,
                IntGauge::new("funchost_calls_in_flight", "Calls whose user code is running."),
            ),
            stuck: register(
                &all,
                IntGauge::new(
                    "funchost_calls_stuck",
                    "Calls that were cancelled over a second ago and still run.",
                ),
            ),
            queue_length: register(
                &all,
                IntGauge::new("funchost_queue_length", "Calls that wait for their turn."),
            ),
            queue_wait: register(
                &all,
                Histogram::with_opts(HistogramOpts::new(
                    "funchost_queue_wait_seconds",
                    "Time that calls waited for their turn, of those that had to.",
                )),
            ),
            connections: register(&all, IntGauge::new("funchost_connections", "Open client connections.")),
            stray_failures: register(
                &all,
                IntCounter::new(
                    "funchost_stray_failures_total",
                    "Errors of user code that no reply could carry, such as those of background tasks.",
                ),
            ),
            cpu_seconds: register(
                &all,
                Counter::new(
                    "funchost_cpu_seconds_total",
                    "Processor time that calls of the user function took, where it is known: in worker processes.",
                ),
            ),
            cold_start: register(
                &all,
                Gauge::new(
                    "funchost_cold_start_seconds",
                    "Time from the start of the process until the function was loaded.",
                ),
            ),
            build: register(
                &all,
                IntGaugeVec::new(
                    vector("funchost_build_info", "Always 1; the labels say what runs."),
                    &["version", "contract", "language", "runtime"],
                ),
            ),
            log_lines_dropped: register(
                &all,
                IntCounter::new(
                    "funchost_log_lines_dropped_total",
                    "Log lines that were dropped because nobody read them fast enough.",
                ),
            ),
            worker_lines_dropped: counter(),
            log,
            registry: all,
        }
    }

    /// Says what runs and how long the start took; called once, when the function is loaded.
    pub(crate) fn loaded(&self, language: &str, runtime: &str, cold_start: Duration) {
        self.cold_start.set(cold_start.as_secs_f64());
        let labels = [env!("CARGO_PKG_VERSION"), contract::CONTRACT_VERSION, language, runtime];
        self.build.with_label_values(&labels).set(1);
    }

    /// Counts one call of the function that has ended.
    pub(crate) fn called(&self, method: &Method, took: Duration, failed: bool) {
        let series = self.series(method);
        series.calls.inc();
        if failed {
            series.failures.inc();
        }
        series.duration.observe(took.as_secs_f64());
    }

    /// Counts a request that was refused.
    pub(crate) fn rejected(&self, reason: Rejected) {
        self.rejected[reason as usize].inc();
    }

    /// Counts a call that was told to stop.
    pub(crate) fn cancelled(&self, reason: CancelReason) {
        self.cancelled[reason.index()].inc();
    }

    /// Counts a worker process that has ended.
    pub(crate) fn worker_ended(&self, end: WorkerEnd) {
        self.worker_ends[end as usize].inc();
    }

    /// Takes over how the language does.
    pub(crate) fn engine(&self, gauges: &Gauges) {
        self.engine_tasks.set(gauges.tasks.and_then(|tasks| i64::try_from(tasks).ok()).unwrap_or(0));
        self.engine_loop_lag.set(gauges.loop_lag.unwrap_or_default().as_secs_f64());
        let waited = gauges.lock_wait.unwrap_or_default().as_secs_f64();
        self.engine_lock_wait.inc_by((waited - self.engine_lock_wait.get()).max(0.0));
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub(crate) fn render(&self) -> Vec<u8> {
        let dropped = self.log.dropped_lines() + self.worker_lines_dropped.get();
        self.log_lines_dropped.inc_by(dropped.saturating_sub(self.log_lines_dropped.get()));
        let mut text = Vec::with_capacity(8 * 1024);
        let written = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        debug_assert!(written.is_ok(), "writing to memory does not fail: {written:?}");
        text
    }

    fn series(&self, method: &Method) -> &MethodSeries {
        let index = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        self.by_method[index].get_or_init(|| {
            let label = [METHODS.get(index).map_or("other", Method::as_str)];
            MethodSeries {
                calls: self.calls.with_label_values(&label),
                failures: self.failures.with_label_values(&label),
                duration: self.durations.with_label_values(&label),
            }
        })
    }
}

/// A counter that goes into another one.
fn counter() -> IntCounter {
    IntCounter::new("part", "part").unwrap_or_else(|error| unreachable!("{error}"))
}

/// Makes a metric known under its name. Names, labels and buckets are constants of this file and every test builds
/// them all, so this cannot fail later.
fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<T>) -> T {
    metric
        .and_then(|metric| registry.register(Box::new(metric.clone())).map(|()| metric))
        .unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
impl Metrics {
    /// With a log that loses nothing.
    pub(crate) fn for_test() -> Self {
        Self::new(Log::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render()).unwrap()
    }

    #[test]
    fn there_is_no_function_series_before_the_first_call() {
        assert!(!text(&Metrics::for_test()).contains("function_"));
    }

    #[test]
    fn a_call_is_counted_under_its_method() {
        let metrics = Metrics::for_test();
        metrics.called(&Method::GET, Duration::from_millis(20), false);
        metrics.called(&Method::GET, Duration::from_millis(20), true);
        let text = text(&metrics);
        assert!(text.contains("function_calls_total{method=\"GET\"} 2\n"), "{text}");
        assert!(text.contains("function_failures_total{method=\"GET\"} 1\n"), "{text}");
        assert!(text.contains("function_duration_seconds_count{method=\"GET\"} 2\n"), "{text}");
        assert!(text.contains("function_duration_seconds_bucket{method=\"GET\",le=\"+Inf\"} 2\n"), "{text}");
    }

    #[test]
    fn invented_methods_share_one_series() {
        let metrics = Metrics::for_test();
        for method in ["BREW", "WHEN"] {
            metrics.called(&Method::from_bytes(method.as_bytes()).unwrap(), Duration::from_millis(20), false);
        }
        assert!(text(&metrics).contains("function_calls_total{method=\"other\"} 2\n"));
    }
}
