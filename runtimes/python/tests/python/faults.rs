//! What Python code may do to its worker; the faults are those of every language.

use std::path::Path;

use testkit::Launch;

use crate::support::program;

fn launch() -> Launch {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    program().function(&folder, "function", "handler").env("PYTHONDONTWRITEBYTECODE", "1")
}

testkit::fault_tests!(launch);
