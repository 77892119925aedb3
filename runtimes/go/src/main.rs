//! The funchost server for functions written in Go, and the compile step that builds them.

mod batch;
mod build;
mod call;
mod convert;
mod engine;
mod error;
mod ffi;
mod share;
mod signals {
    pub(crate) mod ffi;
}
mod upload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let exit = match arguments.next() {
        Some(command) if command == build::COMMAND => build::main(arguments),
        _ => host::run::<engine::GoEngine>(),
    };
    exit.into()
}
