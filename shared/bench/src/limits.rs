//! What this process may have.

use std::process::{self, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::server::{CLIENT_CPU, SERVER_CPU};

/// Leaves the servers' processor to the servers: this thread and all that it starts from now on.
pub(super) fn stay_off_the_servers_cpu() -> Result<(), String> {
    let failed = |why: &str| {
        format!(
            "the benchmark needs processors {SERVER_CPU} and {CLIENT_CPU}, one for servers and one for load: {why}"
        )
    };
    let mut taskset = Command::new("taskset");
    taskset.args(["--pid", "--cpu-list", &CLIENT_CPU.to_string(), &process::id().to_string()]);
    let done = taskset.stdin(Stdio::null()).output().map_err(|error| failed(&format!("taskset: {error}")))?;
    if done.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&done.stderr).trim())) }
}

/// Lets this process and the servers have so many open files.
pub(super) fn allow_files(wanted: u64) -> Result<(), String> {
    let failed = |error: nix::Error| format!("cannot allow {wanted} open files: {error}");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(failed)
}
