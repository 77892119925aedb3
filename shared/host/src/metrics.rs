//! Every metric of a host. The three `function_*` families keep the names and the label that Kubeless dashboards use.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use contract::CancelReason;
use http::Method;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder, core::Collector,
};
use tracing_appender::non_blocking::ErrorCounter;

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
}

impl Rejected {
    const ALL: [Self; 7] = [
        Self::Malformed,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::BadBody,
        Self::SlowClient,
        Self::QueueFull,
        Self::QueueWait,
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
    cancelled: [IntCounter; 3],
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
    cold_start: Gauge,
    build: IntGaugeVec,
    log_lines_dropped: IntCounter,
    log_counters: [ErrorCounter; 2],
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
    /// `log_counters` know how many log lines were lost because nobody read them.
    pub(crate) fn new(log_counters: [ErrorCounter; 2]) -> Self {
        let registry = Registry::new();
        let calls =
            IntCounterVec::new(Opts::new("function_calls_total", "Calls of the user function."), &["method"]);
        let failures = IntCounterVec::new(
            Opts::new(
                "function_failures_total",
                "Calls of the user function that failed or ran past their deadline.",
            ),
            &["method"],
        );
        let durations = HistogramVec::new(
            HistogramOpts::new("function_duration_seconds", "Time that the user function took."),
            &["method"],
        );
        let rejected = IntCounterVec::new(
            Opts::new("funchost_rejected_total", "Requests refused before the function was called."),
            &["reason"],
        );
        let cancelled = IntCounterVec::new(
            Opts::new("funchost_cancelled_total", "Calls that were cancelled while they ran."),
            &["reason"],
        );
        let in_flight = IntGauge::new("funchost_calls_in_flight", "Calls whose user code is running.");
        let stuck = IntGauge::new(
            "funchost_calls_stuck",
            "Calls that were cancelled over a second ago and still run.",
        );
        let queue_length = IntGauge::new("funchost_queue_length", "Calls that wait for their turn.");
        let queue_wait = Histogram::with_opts(HistogramOpts::new(
            "funchost_queue_wait_seconds",
            "Time that calls waited for their turn, of those that had to.",
        ));
        let connections = IntGauge::new("funchost_connections", "Open client connections.");
        let stray_failures = IntCounter::new(
            "funchost_stray_failures_total",
            "Errors of user code that no reply could carry, such as those of background tasks.",
        );
        let cold_start = Gauge::new(
            "funchost_cold_start_seconds",
            "Time from the start of the process until the function was loaded.",
        );
        let build = IntGaugeVec::new(
            Opts::new("funchost_build_info", "Always 1; the labels say what runs."),
            &["version", "contract", "language", "runtime"],
        );
        let log_lines_dropped = IntCounter::new(
            "funchost_log_lines_dropped_total",
            "Log lines that were dropped because standard output or standard error was not read fast enough.",
        );
        let rejected = valid(rejected);
        let cancelled = valid(cancelled);
        let metrics = Self {
            calls: valid(calls),
            failures: valid(failures),
            durations: valid(durations),
            by_method: std::array::from_fn(|_| OnceLock::new()),
            rejected: Rejected::ALL.map(|reason| rejected.with_label_values(&[reason.label()])),
            cancelled: CancelReason::ALL.map(|reason| cancelled.with_label_values(&[reason.label()])),
            in_flight: valid(in_flight),
            stuck: valid(stuck),
            queue_length: valid(queue_length),
            queue_wait: valid(queue_wait),
            connections: valid(connections),
            stray_failures: valid(stray_failures),
            cold_start: valid(cold_start),
            build: valid(build),
            log_lines_dropped: valid(log_lines_dropped),
            log_counters,
            registry,
        };
        metrics.register(metrics.calls.clone());
        metrics.register(metrics.failures.clone());
        metrics.register(metrics.durations.clone());
        metrics.register(rejected);
        metrics.register(cancelled);
        metrics.register(metrics.in_flight.clone());
        metrics.register(metrics.stuck.clone());
        metrics.register(metrics.queue_length.clone());
        metrics.register(metrics.queue_wait.clone());
        metrics.register(metrics.connections.clone());
        metrics.register(metrics.stray_failures.clone());
        metrics.register(metrics.cold_start.clone());
        metrics.register(metrics.build.clone());
        metrics.register(metrics.log_lines_dropped.clone());
        metrics.register(prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }

    /// Adds a collector; names are unique because they all stand in this crate.
    pub(crate) fn register(&self, collector: impl Collector + 'static) {
        valid(self.registry.register(Box::new(collector)));
    }

    /// Says what runs and how long the start took; called once, when the function is loaded.
    pub(crate) fn loaded(&self, language: &str, runtime: &str, cold_start: Duration) {
        self.cold_start.set(cold_start.as_secs_f64());
        let labels = [env!("CARGO_PKG_VERSION"), contract::CONTRACT_VERSION, language, runtime];
        self.build.with_label_values(&labels).set(1);
    }

    /// Counts one call of the function that has ended.
    pub(crate) fn called(&self, method: &Method, started: Instant, failed: bool) {
        let series = self.series(method);
        series.calls.inc();
        if failed {
            series.failures.inc();
        }
        series.duration.observe(started.elapsed().as_secs_f64());
    }

    /// Counts a request that was refused.
    pub(crate) fn rejected(&self, reason: Rejected) {
        self.rejected[reason as usize].inc();
    }

    /// Counts a call that was told to stop.
    pub(crate) fn cancelled(&self, reason: CancelReason) {
        self.cancelled[reason as usize - 1].inc();
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub(crate) fn render(&self) -> Vec<u8> {
        let dropped: usize = self.log_counters.iter().map(ErrorCounter::dropped_lines).sum();
        self.log_lines_dropped.inc_by((dropped as u64).saturating_sub(self.log_lines_dropped.get()));
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

/// Names, labels and buckets are constants of this file: a test builds them all, so this cannot fail later.
fn valid<T>(metric: prometheus::Result<T>) -> T {
    metric.unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
impl Metrics {
    /// With a log that loses nothing.
    pub(crate) fn for_test() -> Self {
        let counter = || tracing_appender::non_blocking(std::io::sink()).0.error_counter();
        Self::new([counter(), counter()])
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
        metrics.called(&Method::GET, Instant::now(), false);
        metrics.called(&Method::GET, Instant::now(), true);
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
            metrics.called(&Method::from_bytes(method.as_bytes()).unwrap(), Instant::now(), false);
        }
        assert!(text(&metrics).contains("function_calls_total{method=\"other\"} 2\n"));
    }
}
