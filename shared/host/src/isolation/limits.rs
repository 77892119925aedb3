//! What workers may use, and what they do use.

use std::{fs, time::Duration};

use contract::{
    Share,
    env::{self, Settings},
};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    time::ClockId,
    unistd::Pid,
};

/// The limits that were set; `None` is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// Bytes, of the host and all workers together.
    pub(super) memory: Option<u64>,
    /// Processor time of a call.
    pub(super) cpu: Option<Duration>,
    /// When a worker is replaced.
    pub(super) renewal: Renewal,
    files: Option<u64>,
    processes: Option<u64>,
}

/// When a worker has done its part.
#[derive(Clone, Debug, Default)]
pub(super) struct Renewal {
    pub(super) calls: Option<u64>,
    pub(super) age: Option<Duration>,
    pub(super) memory: Option<u64>,
}

impl Limits {
    /// `share` is what the container allows.
    pub(crate) fn new(settings: &Settings, share: &Share) -> Self {
        Self {
            memory: share.memory,
            cpu: settings.time(&env::FUNC_CPU_TIMEOUT),
            renewal: Renewal {
                calls: settings.number(&env::FUNC_WORKER_MAX_CALLS),
                age: settings.time(&env::FUNC_WORKER_MAX_AGE),
                memory: settings.bytes(&env::FUNC_WORKER_MAX_MEMORY),
            },
            files: settings.number(&env::FUNC_WORKER_FILES),
            processes: settings.number(&env::FUNC_WORKER_PROCESSES),
        }
    }

    /// Sets what the kernel enforces, in the calling process and those that it starts.
    pub(super) fn impose(&self) -> nix::Result<()> {
        for (resource, limit) in
            [(Resource::RLIMIT_NOFILE, self.files), (Resource::RLIMIT_NPROC, self.processes)]
        {
            if let Some(limit) = limit {
                // Only root may raise what somebody else has set lower.
                let limit = limit.min(getrlimit(resource)?.1);
                setrlimit(resource, limit, limit)?;
            }
        }
        Ok(())
    }

    /// Whether the memory of workers has to be looked at.
    pub(super) fn watches_memory(&self) -> bool {
        self.memory.is_some() || self.renewal.memory.is_some()
    }
}

/// Bytes of memory that are a process's own: what is read from files can be had again, and does not count. `None` when
/// the process has ended.
pub(super) fn memory(pid: Pid) -> Option<u64> {
    sum_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn sum_of(status: &str) -> Option<u64> {
    let kilobytes = |line: &str| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok();
    let own = |line: &&str| line.starts_with("RssAnon:") || line.starts_with("RssShmem:");
    let parts: Vec<u64> = status.lines().filter(own).filter_map(kilobytes).collect();
    (!parts.is_empty()).then(|| parts.iter().sum::<u64>() * 1024)
}

/// The processor time that a process has taken.
pub(super) fn cpu(pid: Pid) -> Option<Duration> {
    ClockId::pid_cpu_clock_id(pid).and_then(ClockId::now).ok().map(Duration::from)
}

/// The same of this process.
pub(super) fn own_cpu() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_a_process_has_for_itself() {
        let status =
            "Name:\tx\nVmRSS:\t  999 kB\nRssAnon:\t  100 kB\nRssFile:\t  50 kB\nRssShmem:\t  28 kB\n";
        assert_eq!(sum_of(status), Some(128 * 1024));
        // Kernel threads and zombies have none.
        assert_eq!(sum_of("Name:\tx\nState:\tZ (zombie)\n"), None);
        assert!(memory(Pid::this()).unwrap() > 4096);
    }

    #[test]
    fn processor_time_goes_on() {
        let before = cpu(Pid::this()).unwrap();
        while own_cpu() < before + Duration::from_millis(5) {}
        assert!(cpu(Pid::this()).unwrap() >= before + Duration::from_millis(5));
    }
}
