//! The log: one access line per request, the host's own lines, and what the function prints, on the way to standard
//! output and standard error without ever making a request wait for a slow reader.

mod access;
mod sink;
mod text;

use std::{io, time::Duration};

use contract::{CallIds, Failure, Output, OutputLine, OutputStream};
use prometheus::IntCounter;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{MakeWriter, time::UtcTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub(crate) use access::AccessLine;
pub(crate) use sink::Sink;

use crate::config::LogConfig;

/// How long the end of the process waits for a slow reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Log targets that are not module paths. Requests and what the function prints are written without the host's own
/// prefix; what happens to the process as a whole is written whatever `FUNC_LOG_LEVEL` says.
const ACCESS: &str = "access";
const FUNCTION_STDOUT: &str = "function::stdout";
const FUNCTION_STDERR: &str = "function::stderr";
pub(crate) const LIFECYCLE: &str = "lifecycle";

/// Requests and what the function prints to its standard output go to ours; everything else to standard error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    out: Sink,
    err: Sink,
}

impl Log {
    /// Sends everything that is logged from now on to standard output and standard error.
    pub(crate) fn start(config: &LogConfig) -> io::Result<Self> {
        let log = Self { out: Sink::start(io::stdout())?, err: Sink::start(io::stderr())? };
        let filter = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("host", config.level)
            .with_target("funchost", config.level)
            .with_targets([("function", Level::INFO), (ACCESS, Level::INFO), (LIFECYCLE, Level::INFO)]);
        let layer = tracing_subscriber::fmt::layer().with_writer(log.clone());
        let layer = if config.json {
            let json = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.with_timer(UtcTime::rfc_3339()).boxed()
        } else {
            layer.event_format(text::Text).boxed()
        };
        // A second start in one process happens in tests only; the first log stays.
        let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
        std::panic::set_hook(Box::new(|panic| tracing::error!("a fault of the host: {panic}")));
        Ok(log)
    }

    /// Lines lost so far because nobody read them.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.out.dropped_lines() + self.err.dropped_lines()
    }

    /// Writes what waits, as far as anybody reads it.
    pub(crate) fn finish(&self) {
        self.out.flush(LAST_LINES);
        self.err.flush(LAST_LINES);
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Sink;

    fn make_writer(&'a self) -> &'a Sink {
        &self.err
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> &'a Sink {
        if matches!(meta.target(), ACCESS | FUNCTION_STDOUT) { &self.out } else { &self.err }
    }
}

/// The function's way into the log.
#[derive(Debug)]
pub(crate) struct FunctionLog {
    stray: IntCounter,
}

impl FunctionLog {
    /// Counts stray failures in `stray`.
    pub(crate) fn new(stray: IntCounter) -> Self {
        Self { stray }
    }
}

impl Output for FunctionLog {
    fn line(&self, line: OutputLine<'_>) {
        let request_id = line.call.map(|ids| ids.request_id.as_str());
        let trace_id = line.call.map(|ids| TraceId(ids).to_string());
        let text = line.text;
        match line.stream {
            OutputStream::Stdout => tracing::info!(target: FUNCTION_STDOUT, request_id, trace_id, "{text}"),
            OutputStream::Stderr => tracing::info!(target: FUNCTION_STDERR, request_id, trace_id, "{text}"),
        }
    }

    fn stray_failure(&self, failure: &Failure, call: Option<&CallIds>) {
        self.stray.inc();
        tracing::error!(
            request_id = call.map(|ids| ids.request_id.as_str()),
            trace_id = call.map(|ids| TraceId(ids).to_string()),
            error = failure.kind,
            stack = failure.stack,
            "the function failed outside of a call: {}",
            failure.message
        );
    }
}

/// A call's trace id as log lines show it.
pub(crate) struct TraceId<'a>(pub(crate) &'a CallIds);

impl std::fmt::Display for TraceId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0.trace.trace_id)
    }
}
