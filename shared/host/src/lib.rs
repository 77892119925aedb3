//! The HTTP server of every funchost runtime.
//!
//! A runtime's binary is one line, `host::run::<MyEngine>()`; everything that is the same in every language is here:
//! the listening socket, the rules of HTTP, limits, the deadline, metrics, logs, and the way the process starts and
//! ends. The crate names no language: it knows engines only through [`contract::Engine`].

#![forbid(unsafe_code)]

mod call;
mod cli;
mod config;
mod exit;
mod fatal;
mod http;
mod lifecycle;
mod log;
mod metrics;
mod serve;
mod signals;

use std::time::Instant;

use contract::Engine;

use crate::{cli::Command, config::Config, log::Log, signals::Signals};
pub use crate::{config::Environment, exit::Exit, fatal::report as report_fatal};

/// Runs a host from its first instruction to its last; `main` returns what this returns.
///
/// Called on the main thread, before any other thread is started.
pub fn run<E: Engine>() -> Exit {
    let started = Instant::now();
    let signals = Signals::block();
    match cli::parse::<E>(std::env::args_os().skip(1)) {
        Command::Serve => {}
        Command::Print(text) => return cli::print(&text),
        Command::Wrong(problem) => return fatal::exit::<E>(Exit::Usage, &problem),
    }
    let (config, settings) = match Config::read(E::NAME, &Environment) {
        Ok(read) => read,
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return fatal::exit::<E>(Exit::Usage, &lines.join("\n"));
        }
    };
    let log = Log::start(&config.log);
    let exit = signals.forward(|stop| serve::on_own_thread::<E>(config, settings, &log, started, stop));
    drop(log);
    exit
}
