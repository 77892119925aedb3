//! What JavaScript may do to its worker; the faults are those of every language.

use std::path::Path;

use testkit::Launch;

use crate::support::program;

fn launch() -> Launch {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    program().function(&folder, "function", "handler")
}

testkit::fault_tests!(launch);
