//! The launcher: finds a libpython, opens it, opens the host's library, and hands over.
//!
//! Nothing of Python is linked, so that one build serves every CPython from 3.10 on, and so that the program can tell
//! about itself, and about what is missing, where there is no Python at all.

mod capabilities;
mod launcher;

use std::process::ExitCode;

const NAME: &str = "python";

fn main() -> ExitCode {
    if let Some(exit) = host::answer_arguments(NAME, capabilities::CAPABILITIES) {
        return exit.into();
    }
    let opened = launcher::find::python().and_then(launcher::open);
    match opened {
        Ok(host) => host.run(),
        Err(problem) => {
            host::report_fatal("funchost-python", &problem);
            host::Exit::Language.into()
        }
    }
}
