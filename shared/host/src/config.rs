//! What the server was told, as typed values.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use contract::{
    Context, Isolation, Share,
    env::{self, Invalid, Settings, Variables},
};

use crate::{cgroup, language::Language};

/// The process environment as a source of variables. The only place of a host that reads it.
#[derive(Clone, Copy, Debug)]
pub struct Environment;

impl Variables for Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where variables are read")]
    fn get(&self, name: &str) -> Result<Option<String>, String> {
        match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|raw| raw.to_string_lossy().into_owned()),
        }
    }
}

/// The server's own settings.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// `MOD_ROOT_PATH`
    pub(crate) root: PathBuf,
    /// `MOD_NAME`
    pub(crate) module: String,
    /// What every call is told about the function.
    pub(crate) context: Context,
    /// Network behaviour towards clients.
    pub(crate) wire: WireLimits,
    /// Behaviour towards the function.
    pub(crate) calls: CallLimits,
    /// Behaviour at the end.
    pub(crate) drain: DrainLimits,
    /// Whether CORS preflights are answered and origins allowed.
    pub(crate) cors: bool,
    /// Whether clients see the message of the function's error.
    pub(crate) error_detail: bool,
    /// How and how much is logged.
    pub(crate) log: LogConfig,
    /// Threads for network I/O.
    pub(crate) io_threads: usize,
    /// Worker processes that run the function; 0 when this one does.
    pub(crate) workers: usize,
    /// What the container allows.
    pub(crate) share: Share,
}

/// Bounds on what a client may send and how slowly.
#[derive(Clone, Debug)]
pub(crate) struct WireLimits {
    /// Bytes of a request's head.
    pub(crate) head: usize,
    /// Bytes of a request's body, inflated.
    pub(crate) body: usize,
    /// From the first byte of a head to its last.
    pub(crate) head_time: Duration,
    /// Without a byte of a body that was announced, or with an answer that is not taken.
    pub(crate) body_time: Duration,
    /// Without a request.
    pub(crate) idle_time: Duration,
}

impl WireLimits {
    /// The shortest of the times: whoever looks as often notices each of them.
    pub(crate) fn shortest(&self) -> Duration {
        self.head_time.min(self.body_time).min(self.idle_time)
    }
}

/// Bounds on calls.
#[derive(Clone, Debug)]
pub(crate) struct CallLimits {
    /// From arrival to the last byte.
    pub(crate) timeout: Duration,
    /// At once.
    pub(crate) concurrency: usize,
    /// Waiting.
    pub(crate) queue: usize,
    /// Waiting time.
    pub(crate) queue_wait: Duration,
    /// Stuck calls that make the host unready; half of what can run at once when not set.
    pub(crate) stuck: Option<usize>,
}

/// Bounds on the end.
#[derive(Clone, Debug)]
pub(crate) struct DrainLimits {
    /// Accepting goes on for this long.
    pub(crate) delay: Duration,
    /// Running calls may take this long after that.
    pub(crate) timeout: Duration,
}

/// Logging.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// The host's own lines.
    pub(crate) level: tracing::Level,
    /// One line per request.
    pub(crate) access: bool,
}

impl Config {
    /// Reads the rows of this language; every mistake comes back, not only the first.
    pub(crate) fn read(
        language: &Language,
        variables: &impl Variables,
    ) -> Result<(Self, Settings), Vec<Invalid>> {
        let settings = Settings::read(language.name, variables)?;
        Ok((Self::from_settings(&settings, language.isolation), settings))
    }

    /// Relies on [`Settings`] having validated every value, defaults included.
    fn from_settings(settings: &Settings, isolation: Isolation) -> Self {
        let mut share = cgroup::read();
        let limit = settings.bytes(&env::FUNC_MEMORY_LIMIT);
        share.memory = share.memory.into_iter().chain(limit).min();
        let workers =
            settings.number(&env::FUNC_WORKERS).map_or_else(|| default_workers(&share), |n| n as usize);
        let isolation = settings.text(&env::FUNC_ISOLATION).map_or(isolation, isolation_of);
        let text = |row| settings.text(row).unwrap_or_default();
        let size = |row| settings.number(row).map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let time = |row| settings.time(row).unwrap_or_default();
        let address =
            text(&env::FUNC_ADDRESS).parse().unwrap_or_else(|_| unreachable!("an address is validated"));
        let port =
            settings.number(&env::FUNC_PORT).and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        Self {
            listen: SocketAddr::new(address, port),
            root: PathBuf::from(text(&env::MOD_ROOT_PATH)),
            module: text(&env::MOD_NAME).to_owned(),
            context: Context {
                function_name: text(&env::FUNC_HANDLER).to_owned(),
                timeout: time(&env::FUNC_TIMEOUT),
                runtime: settings.text(&env::FUNC_RUNTIME).map(str::to_owned),
                memory_limit: settings.text(&env::FUNC_MEMORY_LIMIT).map(str::to_owned),
            },
            wire: WireLimits {
                head: size(&env::FUNC_HEADER_MAX),
                body: settings
                    .number(&env::FUNC_MEMFILE_MAX)
                    .map_or_else(|| size(&env::REQ_MB_LIMIT), |n| usize::try_from(n).unwrap_or(usize::MAX)),
                head_time: time(&env::FUNC_HEADER_TIMEOUT),
                body_time: time(&env::FUNC_BODY_TIMEOUT),
                idle_time: time(&env::FUNC_IDLE_TIMEOUT),
            },
            calls: CallLimits {
                timeout: time(&env::FUNC_TIMEOUT),
                concurrency: size(&env::FUNC_CONCURRENCY),
                queue: size(&env::FUNC_QUEUE),
                queue_wait: time(&env::FUNC_QUEUE_WAIT),
                stuck: settings.number(&env::FUNC_STUCK_LIMIT).and_then(|n| usize::try_from(n).ok()),
            },
            drain: DrainLimits { delay: time(&env::DRAIN_DELAY), timeout: time(&env::SHUTDOWN_TIMEOUT) },
            cors: settings.is_on(&env::FUNC_CORS),
            error_detail: settings.is_on(&env::FUNC_ERROR_DETAIL),
            log: LogConfig {
                json: text(&env::FUNC_LOG_FORMAT) == "json",
                level: text(&env::FUNC_LOG_LEVEL).parse().unwrap_or(tracing::Level::INFO),
                access: settings.is_on(&env::FUNC_ACCESS_LOG),
            },
            io_threads: settings
                .number(&env::FUNC_IO_THREADS)
                .map_or_else(default_io_threads, |n| n as usize),
            workers: if isolation == Isolation::Process { workers } else { 0 },
            share: Share { isolates: if isolation == Isolation::Process { 1 } else { workers }, ..share },
        }
    }
}

/// More than a few threads only move work around: the handler, not the network, is where the time goes.
fn default_io_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4))
}

fn isolation_of(word: &str) -> Isolation {
    if word == "process" { Isolation::Process } else { Isolation::Thread }
}

/// One for each CPU that the quota pays for, and never more than there are.
fn default_workers(share: &Share) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    share.cpus.map_or(cpus, |quota| (quota.ceil() as usize).clamp(1, cpus))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use testkit::FakeEngine;

    use super::*;

    fn read(more: &[(&'static str, &'static str)]) -> Config {
        let mut variables = BTreeMap::from([("MOD_NAME", "hello"), ("FUNC_HANDLER", "handler")]);
        variables.extend(more.iter().copied());
        Config::read(&Language::of::<FakeEngine>(), &variables).unwrap().0
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = read(&[]);
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.wire.body, 1_048_576);
        assert_eq!(config.calls.timeout, Duration::from_secs(180));
        assert_eq!(config.drain.timeout, Duration::from_secs(10));
        assert_eq!(config.root, PathBuf::from("/kubeless"));
        assert!(config.cors && !config.error_detail && !config.log.json);
    }

    #[test]
    fn the_limit_in_bytes_wins_over_the_one_in_mebibytes() {
        assert_eq!(read(&[("REQ_MB_LIMIT", "0.5")]).wire.body, 524_288);
        assert_eq!(read(&[("REQ_MB_LIMIT", "2"), ("FUNC_MEMFILE_MAX", "1000")]).wire.body, 1000);
    }

    #[test]
    fn there_are_as_many_workers_as_cpus_are_paid_for() {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let workers = |quota| default_workers(&Share { cpus: quota, ..Share::default() });
        assert_eq!((workers(None), workers(Some(0.2)), workers(Some(1e6))), (cpus, 1, cpus));
        assert_eq!(workers(Some(1.5)), 2.min(cpus));
        let three = |more: &[_]| read(&[&[("FUNC_WORKERS", "3")], more].concat());
        let (thread, process) = (three(&[]), three(&[("FUNC_ISOLATION", "process")]));
        assert_eq!((thread.workers, thread.share.isolates), (0, 3));
        assert_eq!((process.workers, process.share.isolates), (3, 1));
    }

    #[test]
    fn what_the_function_is_told_of_its_memory_holds() {
        let memory = |limit| read(&[("FUNC_MEMORY_LIMIT", limit)]).share.memory;
        assert_eq!(memory("1Mi"), Some(1 << 20));
        assert_eq!(memory("0"), read(&[]).share.memory, "0 is no limit");
    }

    #[test]
    fn timeouts_may_have_fractions() {
        assert_eq!(read(&[("FUNC_TIMEOUT", "0.5")]).context.timeout, Duration::from_millis(500));
    }
}
