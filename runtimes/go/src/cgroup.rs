//! The limits that the container sets, for Go's scheduler and garbage collector.
//!
//! Go reads its environment when the library is opened, from the process's own block, so variables set by then come
//! too late; and Go learns of CPU quotas by itself only when the function's `go.mod` is new enough. So the numbers are
//! worked out here, by the same rule for every function, and handed over when the plugin starts.

use std::{fs, path::Path};

const MEBIBYTE: u64 = 1 << 20;

/// What the control groups of this process allow; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// In CPUs.
    cpu: Option<f64>,
    /// In bytes.
    memory: Option<u64>,
}

impl Limits {
    pub(crate) fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    /// The smallest limit of the process's group and those around it, as far as they can be seen: a container mostly
    /// sees its own as the root.
    fn read_below(root: &Path) -> Self {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mut limits = Self::default();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let has = |name| controllers.split(',').any(|controller| controller == name);
            let mount = root.join("sys/fs/cgroup");
            if controllers.is_empty() {
                limits.lower(&mount, group, v2);
            } else if has("cpu") {
                limits.lower(&mount.join("cpu"), group, v1_cpu);
            } else if has("memory") {
                limits.lower(&mount.join("memory"), group, v1_memory);
            }
        }
        limits
    }

    fn lower(&mut self, mount: &Path, group: &str, read: fn(&Path) -> Self) {
        let own = mount.join(group.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(mount)) {
            let found = read(folder);
            self.cpu = least(self.cpu, found.cpu, f64::min);
            self.memory = least(self.memory, found.memory, u64::min);
        }
    }

    /// For `GOMAXPROCS`, by Go's own rule for quotas: rounded up, and not below 2, so that one busy goroutine does
    /// not hold up all others. 0 leaves it to Go, which also sees to it that it is not more than there are CPUs.
    pub(crate) fn go_max_procs(self) -> u32 {
        self.cpu.map_or(0, |quota| (quota.ceil() as u32).max(2))
    }

    /// For `GOMEMLIMIT`: what the server needs beside Go is left out. 0 is no limit.
    pub(crate) fn go_memory(self) -> i64 {
        let Some(memory) = self.memory else { return 0 };
        let others = (memory / 10).max(16 * MEBIBYTE).min(memory / 2);
        i64::try_from(memory - others).unwrap_or(0)
    }
}

fn least<T>(one: Option<T>, other: Option<T>, min: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(min(one, other)),
        (one, other) => one.or(other),
    }
}

fn v2(folder: &Path) -> Limits {
    // "150000 100000", or "max 100000".
    let cpu = text(&folder.join("cpu.max")).and_then(|text| {
        let (quota, period) = text.split_once(' ')?;
        ratio(quota, period)
    });
    Limits { cpu, memory: text(&folder.join("memory.max")).and_then(|text| text.parse().ok()) }
}

fn v1_cpu(folder: &Path) -> Limits {
    let cpu = text(&folder.join("cpu.cfs_quota_us"))
        .zip(text(&folder.join("cpu.cfs_period_us")))
        .and_then(|(quota, period)| ratio(&quota, &period));
    Limits { cpu, memory: None }
}

fn v1_memory(folder: &Path) -> Limits {
    // "No limit" is the largest multiple of a page there, far above any machine's memory.
    let memory = text(&folder.join("memory.limit_in_bytes"))
        .and_then(|text| text.parse().ok())
        .filter(|limit| *limit < 1 << 60);
    Limits { cpu: None, memory }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Neither "max" nor -1 is a quota.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Limits {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limits::read_below(root.path())
    }

    #[test]
    fn no_control_groups_are_no_limits() {
        assert_eq!(read(&[]), Limits::default());
        assert_eq!(Limits::default().go_max_procs(), 0);
        assert_eq!(Limits::default().go_memory(), 0);
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let limits = read(&[
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "268435456\n"),
            ("sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/pod/memory.max", "max\n"),
            ("sys/fs/cgroup/cpu.max", "400000 100000\n"),
        ]);
        assert_eq!(limits, Limits { cpu: Some(1.5), memory: Some(268_435_456) });
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_root() {
        let limits = read(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/memory.max", "67108864\n"),
        ]);
        assert_eq!(limits, Limits { cpu: Some(0.5), memory: Some(67_108_864) });
    }

    #[test]
    fn version_1() {
        let files = [
            ("proc/self/cgroup", "5:memory:/kubepods/a\n3:cpu,cpuacct:/kubepods/a\n1:name=systemd:/\n0::/\n"),
            ("sys/fs/cgroup/cpu/kubepods/a/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu/kubepods/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/kubepods/a/memory.limit_in_bytes", "134217728\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(read(&files), Limits { cpu: Some(2.5), memory: Some(134_217_728) });
    }

    #[test]
    fn go_gets_at_least_two_processors_and_leaves_memory_for_the_server() {
        let limits = |cpu, memory| Limits { cpu: Some(cpu), memory: Some(memory) };
        assert_eq!(limits(0.1, 0).go_max_procs(), 2);
        assert_eq!(limits(2.1, 0).go_max_procs(), 3);
        assert_eq!(limits(1.0, 16 * MEBIBYTE).go_memory(), 8 << 20);
        assert_eq!(limits(1.0, 64 * MEBIBYTE).go_memory(), 48 << 20);
        assert_eq!(limits(1.0, 1000 * MEBIBYTE).go_memory(), 900 << 20);
    }
}
