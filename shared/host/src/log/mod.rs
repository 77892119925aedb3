//! The log: one access line per request, the host's own lines, and what the function prints, on the way to standard
//! output and standard error without ever making a request wait for a slow reader.

mod access;
mod sink;
mod text;

use std::{io, time::Duration};

use contract::{CallIds, Failure, Output, OutputLine, OutputStream};
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
        Ok(Self::to(Sink::start(io::stdout())?, Sink::start(io::stderr())?, config))
    }

    /// The same, to two ways of the caller's choice.
    pub(crate) fn to(out: Sink, err: Sink, config: &LogConfig) -> Self {
        let log = Self { out, err };
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
        log
    }

    /// Takes over lines that another process has formatted in the same way.
    pub(crate) fn relay(&self, stream: OutputStream, lines: &[u8]) {
        match stream {
            OutputStream::Stdout => self.out.relay(lines),
            OutputStream::Stderr => self.err.relay(lines),
        }
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

/// The function's way into the log. `stray` is called for every failure that no reply could carry.
pub(crate) struct FunctionLog<F>(pub(crate) F);

impl<F> std::fmt::Debug for FunctionLog<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FunctionLog")
    }
}

impl<F: Fn() + Send + Sync> Output for FunctionLog<F> {
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
        self.0();
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

/// Writes a line that a worker's process has printed without the engine's knowledge.
pub(crate) fn worker_line(stream: OutputStream, worker: u64, text: &str) {
    match stream {
        OutputStream::Stdout => tracing::info!(target: FUNCTION_STDOUT, worker, "{text}"),
        OutputStream::Stderr => tracing::info!(target: FUNCTION_STDERR, worker, "{text}"),
    }
}

/// A call's trace id as log lines show it.
pub(crate) struct TraceId<'a>(pub(crate) &'a CallIds);

impl std::fmt::Display for TraceId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0.trace.trace_id)
    }
}
