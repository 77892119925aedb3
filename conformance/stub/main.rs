//! A server that keeps the contract without a language: its functions are the suite's fixtures, written here once more.
//!
//! `STUB_DEFECT` names a check, and the server breaks what that check looks at. So the suite's own tests see that every
//! check fails when it should, and passes when it should. Nothing else is this server for: it is made of threads and
//! locks, and of nothing that a check could have been copied from.
#![expect(
    clippy::disallowed_methods,
    reason = "sleeping is what its functions do, and its variables are its own"
)]

mod calls;
mod config;
mod connection;
mod function;
mod log;
mod metrics;
mod reply;
mod request;
mod serve;

use std::io::Write;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use calls::State;
use config::Config;

/// Whether this is the defect to show.
fn broken(check: &str) -> bool {
    static DEFECT: OnceLock<String> = OnceLock::new();
    DEFECT.get_or_init(|| std::env::var("STUB_DEFECT").unwrap_or_default()) == check
}

/// Whether it is one of these.
fn broken_any(checks: &[&str]) -> bool {
    checks.iter().any(|check| broken(check))
}

fn main() {
    if std::env::args().any(|argument| argument == "--describe") {
        let all = [
            "async-handlers",
            "binary-body",
            "dependencies",
            "multipart",
            "stop-running-handler",
            "streaming-reply",
            "streaming-request",
            "structured-data",
        ];
        let described =
            serde_json::json!({"name": "stub", "version": "1", "language": "stub", "capabilities": all});
        let _ = writeln!(std::io::stdout(), "{described}");
        return;
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    // Before there is another thread, so that none of them gets a signal.
    let _ = signals.thread_block();
    let config = Config::read().unwrap_or_else(|mistakes| {
        let status = if broken("load.10/usage-is-64") { 1 } else { 64 };
        end(&mistakes, if broken("load.9/bad-variable-ends-the-start") { 0 } else { status })
    });
    let (port, is_slow) = (config.port, config.fixture == "slow-load");
    if let Some((reason, check)) = config.load_failure() {
        let status = if broken("load.10/function-is-65") { 1 } else { 65 };
        end(&reason, if broken(check) { 0 } else { status });
    }
    let state: &'static State = Box::leak(Box::new(State::new(config)));
    let port = if broken("load.2/port-is-listened-on") { 0 } else { port };
    let listener =
        TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|problem| end(&problem.to_string(), 71));
    let inherited = listener.try_clone();
    std::thread::spawn(move || serve::accept(&listener, state));
    if is_slow {
        std::thread::sleep(Duration::from_secs(4));
        log::say("loading is over");
    }
    state.is_ready.store(true, Ordering::SeqCst);
    let first = signals.wait();
    drain(state, first.ok(), &signals);
    if broken("drain.7/port-is-free-afterwards")
        && let Ok(listener) = inherited
    {
        let _ = nix::fcntl::fcntl(&listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()));
        let _ = std::process::Command::new("sleep").arg("60").spawn();
    }
    leave(match first {
        Ok(Signal::SIGTERM) if broken("drain.1/sigterm-ends-with-0") => 1,
        Ok(Signal::SIGINT) if broken("drain.1/sigint-ends-with-0") => 1,
        _ if broken_any(&["drain.2/end-waits-for-the-call", "drain.6/idle-connections-are-closed"]) => 1,
        _ if state.running() > 0 && !broken("drain.4/lost-calls-show") => 75,
        _ => 0,
    });
}

/// From the signal to the end.
fn drain(state: &'static State, _: Option<Signal>, signals: &SigSet) {
    if broken("drain.2/running-call-is-answered") {
        leave(0);
    }
    state.is_draining.store(true, Ordering::SeqCst);
    let second = *signals;
    std::thread::spawn(move || {
        if let Ok(signal) = second.wait() {
            leave(if broken("drain.5/second-signal-ends-at-once") { 0 } else { 128 + signal as i32 });
        }
    });
    std::thread::sleep(state.config.drain_delay);
    let end = Instant::now() + state.config.shutdown_timeout;
    while state.running() > 0 && (Instant::now() < end || broken("drain.4/late-call-does-not-hold-it-up")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Answers that are on their way.
    let end = Instant::now() + Duration::from_secs(1);
    while state.answering() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says why there is no server, and ends.
fn end(reason: &str, status: i32) -> ! {
    let _ = writeln!(std::io::stderr(), "{reason}");
    if !broken("load.8/reason-is-in-the-termination-log")
        && let Ok(path) = std::env::var("FUNC_TERMINATION_LOG")
    {
        let _ = std::fs::write(path, reason);
    }
    leave(status)
}

#[expect(clippy::exit, reason = "threads of the stub are never joined")]
fn leave(status: i32) -> ! {
    std::process::exit(status)
}
