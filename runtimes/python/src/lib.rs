//! The host of Python functions.
//!
//! This is a library with undefined symbols: those of whatever libpython the launcher (`main.rs`) has opened before.
//! So one build serves every CPython from 3.10 on.

mod bell;
mod call;
mod capabilities;
mod convert;
mod engine;
mod error;
mod event_loop;
mod ffi;
mod interpreter;
mod interrupt;
mod output;
mod pipe;
mod serve;
mod worker;

use std::ffi::CString;

/// Serves, with a Python that behaves like the executable `program`.
fn run(program: Option<CString>) -> host::Exit {
    if let Some(program) = program {
        // Set once: the launcher calls this once.
        let _ = interpreter::PROGRAM.set(program);
    }
    host::run::<engine::PythonEngine>()
}
