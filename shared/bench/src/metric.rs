//! What is measured, by name. Every sample of a result stands under one of these.

/// Requests per second that were answered, with one connection's requests one after another.
pub const RATE: &str = "requests_per_second";
/// Processor time of all of a server's processes, in seconds for 1000 requests.
pub const CPU: &str = "cpu_seconds_per_1000_requests";
/// The most that all of a server's processes held at a time, in MiB; pages that they share count for each.
pub const PEAK_RSS: &str = "peak_rss_mib";
/// Requests that were answered wrongly or not at all.
pub const ERRORS: &str = "errors";
/// Latencies in milliseconds, at a fixed rate of requests.
pub const P50: &str = "latency_p50_ms";
/// See [`P50`].
pub const P90: &str = "latency_p90_ms";
/// See [`P50`].
pub const P99: &str = "latency_p99_ms";
/// See [`P50`].
pub const P999: &str = "latency_p99_9_ms";
/// The part of the fixed rate that was answered: below 1 where the server did not keep up.
pub const KEPT_UP: &str = "answered_share_of_rate";
/// From the start of the process to its first answer, or to its end where it is a program that ends. Milliseconds.
pub const COLD_START: &str = "cold_start_ms";
/// Memory of all processes after the first call, in MiB; of pages that are shared each has its part (PSS).
pub const IDLE_MEMORY: &str = "idle_memory_mib";
/// The same after many calls.
pub const USED_MEMORY: &str = "used_memory_mib";
/// How many calls these were.
pub const CALLS: &str = "calls";
/// Latencies of healthy calls alone, in milliseconds.
pub const ALONE_P50: &str = "alone_p50_ms";
/// See [`ALONE_P50`].
pub const ALONE_P99: &str = "alone_p99_ms";
/// Latencies of healthy calls beside ones that spin until their deadline, in milliseconds.
pub const STORM_P50: &str = "storm_p50_ms";
/// See [`STORM_P50`].
pub const STORM_P99: &str = "storm_p99_ms";
/// Healthy calls that were not answered, of [`CALLS`].
pub const FAILED: &str = "failed_calls";
/// Calls that had been sent when the server was told to end, or afterwards on an open connection, and had no answer.
pub const LOST: &str = "lost_calls";
/// Calls that were answered after the server had been told to end.
pub const ANSWERED_LATE: &str = "calls_answered_after_sigterm";
/// From SIGTERM to the end of the process, in milliseconds.
pub const END: &str = "end_ms";
/// Calls that were answered, of [`CALLS`].
pub const ANSWERED: &str = "answered_calls";
