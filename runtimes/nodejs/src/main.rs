//! The funchost server for functions written for Node.js, on V8 with Deno's implementation of Node's API.

mod batch;
mod call;
mod compiled;
mod convert;
mod engine;
mod error;
mod ffi;
mod interrupt;
mod isolate;
mod limits;
mod load;
mod loader;
mod ops;
mod output;
mod pipe;
mod pool;
mod queue;
mod snapshot;
mod state;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let exit = match arguments.next() {
        Some(command) if command == snapshot::COMMAND => snapshot::command(arguments),
        _ => host::run::<engine::NodeEngine>(),
    };
    exit.into()
}
