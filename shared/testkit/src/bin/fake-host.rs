//! The host with the fake engine: everything about a process that does not depend on a language.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run::<testkit::FakeEngine>().into()
}
