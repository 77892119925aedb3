//! What Go code may do to its worker; the faults are those of every language.

mod support;

use std::{path::PathBuf, sync::OnceLock};

use testkit::Launch;

fn launch() -> Launch {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    let mount = MOUNT.get_or_init(|| support::built("faults", include_str!("faults/function.go")));
    support::host(mount, "Handler")
}

testkit::fault_tests!(launch);
