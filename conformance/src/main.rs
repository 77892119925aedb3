//! `funchost-conformance`: holds a function host to the contract.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(conformance::cli::main())
}
