//! The HTTP server of every funchost runtime.
//!
//! A runtime's binary is one line, `host::run::<MyEngine>()`; everything that is the same in every language is here:
//! the listening socket, the rules of HTTP, limits, the deadline, metrics, logs, and the way the process starts and
//! ends. The crate names no language: it knows engines only through [`contract::Engine`].

#![deny(unsafe_code)]

mod call;
mod cgroup;
mod cli;
mod config;
mod exit;
mod fatal;
mod http;
mod isolation;
mod language;
mod lifecycle;
mod log;
mod metrics;
mod probe;
mod serve;
mod signals;

use std::time::Instant;

use contract::{Capability, Engine};

use crate::{config::Config, language::Language, log::Log, signals::Signals};
pub use crate::{config::Environment, exit::Exit, fatal::report as report_fatal};

/// Every binary that links the host gets this allocator: requests make many small, short-lived objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a host from its first instruction to its last; `main` returns what this returns.
///
/// Called on the main thread, before any other thread is started.
pub fn run<E: Engine>() -> Exit {
    start(const { &Language::of::<E>() })
}

fn start(language: &'static Language) -> Exit {
    let started = Instant::now();
    let signals = Signals::block();
    if let Some(exit) = answer_arguments(language.name, language.capabilities) {
        return exit;
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == isolation::MARK) {
        return isolation::run_worker(language, signals, arguments.next().as_deref());
    }
    let (config, settings) = match Config::read(language, &Environment) {
        Ok(read) => read,
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return fatal::exit(language.name, Exit::Usage, &lines.join("\n"));
        }
    };
    let log = match Log::start(&config.log) {
        Ok(log) => log,
        Err(error) => {
            return fatal::exit(language.name, Exit::Internal, &format!("cannot start the log: {error}"));
        }
    };
    let exit = signals.while_serving(|stop, finish| {
        serve::on_own_thread(language, config, settings, log.clone(), started, stop, finish);
    });
    log.finish();
    exit
}

/// Answers the command line's arguments, if there are any; `None` means to serve. [`run`] begins with it; a launcher
/// that has to find its language before it can run calls it first, so that asking needs no language.
pub fn answer_arguments(name: &str, capabilities: &[Capability]) -> Option<Exit> {
    cli::answer(name, capabilities, std::env::args_os().skip(1))
}
