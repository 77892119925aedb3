//! What this process may have.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

use super::server::{CLIENT_CPU, SERVER_CPU};

/// Leaves the servers' processor to the servers.
pub(super) fn stay_off_the_servers_cpu() -> Result<(), String> {
    let mut cpus = CpuSet::new();
    cpus.set(CLIENT_CPU).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cpus)).map_err(|error| {
        format!(
            "the benchmark needs processors {SERVER_CPU} and {CLIENT_CPU}, one for servers and one for load: {error}"
        )
    })
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
