//! The log: one access line per request, the host's own lines, and what the function prints, on the way to standard
//! output and standard error without ever making a request wait for a slow reader.

mod access;
mod text;

use std::io;

use contract::{CallIds, Failure, Output, OutputLine, OutputStream};
use prometheus::IntCounter;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{MakeWriter, time::UtcTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::LogConfig;

pub(crate) use access::AccessLine;

/// Lines that may wait for a slow reader; more are dropped and counted.
const WAITING_LINES: usize = 16_384;

/// Log targets that are not module paths: the text format writes them without the host's own prefix.
const ACCESS: &str = "access";
const FUNCTION_STDOUT: &str = "function::stdout";
const FUNCTION_STDERR: &str = "function::stderr";

/// Keeps the log's writers running; dropping it writes what waits.
pub(crate) struct Log {
    _guards: [WorkerGuard; 2],
    dropped: [ErrorCounter; 2],
}

impl Log {
    /// Sends everything that is logged from now on to standard output and standard error.
    pub(crate) fn start(config: &LogConfig) -> Self {
        let writer =
            |to| NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true).finish(to);
        let (out, out_guard) = writer(Stream::Out);
        let (err, err_guard) = writer(Stream::Err);
        let dropped = [out.error_counter(), err.error_counter()];
        let filter = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("host", config.level)
            .with_target("funchost", config.level)
            .with_target("function", Level::INFO)
            .with_target(ACCESS, Level::INFO);
        let layer = tracing_subscriber::fmt::layer().with_writer(Streams { out, err });
        let layer = if config.json {
            let json = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.with_timer(UtcTime::rfc_3339()).boxed()
        } else {
            layer.event_format(text::Text).boxed()
        };
        // A second start in one process happens in tests only; the first log stays.
        let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
        std::panic::set_hook(Box::new(|panic| tracing::error!("a fault of the host: {panic}")));
        Self { _guards: [out_guard, err_guard], dropped }
    }

    /// Lines lost so far because nobody read them.
    pub(crate) fn dropped_lines(&self) -> [ErrorCounter; 2] {
        self.dropped.clone()
    }
}

/// Standard output or standard error, with the lines of one turn written at once.
enum Stream {
    Out,
    Err,
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Out => io::stdout().lock().write(bytes),
            Self::Err => io::stderr().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Out => io::stdout().lock().flush(),
            Self::Err => io::stderr().lock().flush(),
        }
    }
}

/// Requests and what the function prints to its standard output go to ours; everything else to standard error.
struct Streams {
    out: NonBlocking,
    err: NonBlocking,
}

impl<'a> MakeWriter<'a> for Streams {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> NonBlocking {
        self.err.clone()
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> NonBlocking {
        if matches!(meta.target(), ACCESS | FUNCTION_STDOUT) { self.out.clone() } else { self.err.clone() }
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
