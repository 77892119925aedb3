//! The environment.

use std::time::Duration;

use crate::broken;

pub(crate) struct Config {
    pub(crate) fixture: String,
    pub(crate) handler: String,
    pub(crate) port: u16,
    pub(crate) timeout: f64,
    pub(crate) runtime: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) limit: usize,
    pub(crate) concurrency: usize,
    pub(crate) queue: usize,
    pub(crate) queue_wait: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) cors: bool,
    pub(crate) error_detail: bool,
    pub(crate) json: bool,
    pub(crate) access_log: bool,
}

fn text(name: &str) -> Option<String> {
    let keeps_empty = broken("load.11/empty-counts-as-not-set");
    std::env::var(name).ok().filter(|value| keeps_empty || !value.is_empty())
}

impl Config {
    /// Reads all of it; the error names each mistake.
    pub(crate) fn read() -> Result<Self, String> {
        let mut mistakes = Vec::new();
        let mut number = |name: &str, default: f64| match text(name) {
            None => default,
            Some(value) => value.parse::<f64>().unwrap_or_else(|_| {
                mistakes.push(format!("{name} is \"{value}\"; allowed: a number"));
                default
            }),
        };
        let seconds = Duration::from_secs_f64;
        let root = text("MOD_ROOT_PATH").unwrap_or_default();
        let module = text("MOD_NAME").unwrap_or_default();
        let memfile = number("FUNC_MEMFILE_MAX", f64::NAN);
        let megabytes = number("REQ_MB_LIMIT", 1.0);
        let mut limit = (megabytes * 1_048_576.0) as usize;
        if broken("limits.4/req-mb-limit-raises") {
            limit = 1_048_576;
        }
        if broken("limits.4/req-mb-limit-holds") {
            limit *= 2;
        }
        if !memfile.is_nan() {
            limit = memfile as usize;
            limit = if broken("limits.5/memfile-max-holds") { 1_048_576 } else { limit };
            limit = if broken("limits.5/memfile-max-takes") { limit - 1 } else { limit };
        }
        if broken("limits.1/mebibyte-is-taken") {
            limit -= 1;
        }
        let config = Self {
            fixture: std::fs::read_to_string(format!("{root}/{module}.stub"))
                .unwrap_or_default()
                .trim()
                .to_owned(),
            handler: text("FUNC_HANDLER").unwrap_or_default(),
            port: number("FUNC_PORT", 8080.0) as u16,
            timeout: number("FUNC_TIMEOUT", 180.0),
            runtime: text("FUNC_RUNTIME"),
            memory: text("FUNC_MEMORY_LIMIT"),
            limit,
            concurrency: number("FUNC_CONCURRENCY", 1000.0) as usize,
            queue: number("FUNC_QUEUE", 1000.0) as usize,
            queue_wait: seconds(number("FUNC_QUEUE_WAIT", 10.0)),
            header_timeout: seconds(number("FUNC_HEADER_TIMEOUT", 10.0)),
            body_timeout: seconds(number("FUNC_BODY_TIMEOUT", 30.0)),
            idle_timeout: seconds(number("FUNC_IDLE_TIMEOUT", 75.0)),
            drain_delay: seconds(number("DRAIN_DELAY", 5.0)),
            shutdown_timeout: seconds(number("SHUTDOWN_TIMEOUT", 10.0)),
            cors: text("FUNC_CORS").is_none_or(|value| value != "off"),
            error_detail: text("FUNC_ERROR_DETAIL").is_some_and(|value| value == "on"),
            json: text("FUNC_LOG_FORMAT").is_some_and(|value| value == "json"),
            access_log: text("FUNC_ACCESS_LOG").is_none_or(|value| value != "off"),
        };
        if broken("load.13/fractions-of-seconds") && config.timeout.fract() > 0.0 {
            mistakes.push("FUNC_TIMEOUT is no whole number".to_owned());
        }
        if broken("load.13/no-memory-limit") && config.memory.as_deref() == Some("0") {
            mistakes.push("FUNC_MEMORY_LIMIT is 0".to_owned());
        }
        if mistakes.is_empty() {
            return Ok(config);
        }
        if broken("load.9/all-mistakes-at-once") {
            mistakes.truncate(1);
        }
        if broken("load.9/bad-variable-is-named") {
            mistakes = vec!["something is wrong".to_owned()];
        }
        Err(mistakes.join("\n"))
    }

    /// Why the function cannot be loaded, and the check that wants to see an end.
    pub(crate) fn load_failure(&self) -> Option<(String, &'static str)> {
        let vague = "it did not work".to_owned();
        Some(match self.fixture.as_str() {
            "broken-syntax" if broken("load.7/parse-error-names-the-file") => (vague, ""),
            "broken-syntax" => (
                "function.stub, line 1: not understood".to_owned(),
                "load.6/ends-when-the-function-does-not-parse",
            ),
            "broken-load" if broken("load.7/load-error-is-told") => (vague, ""),
            "broken-load" => {
                ("function.stub: no database today".to_owned(), "load.6/ends-when-loading-fails")
            }
            _ if self.handler == "Handle" => return None,
            _ if broken("load.7/missing-handler-is-named") => (vague, ""),
            _ => (format!("there is no handler {}", self.handler), "load.6/ends-without-the-handler"),
        })
    }
}
