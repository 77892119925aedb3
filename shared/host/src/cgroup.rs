//! The limits that the container sets.

use std::{fs, path::Path};

use contract::Share;

/// What the control groups of this process allow, in version 1 and 2.
pub(crate) fn read() -> Share {
    read_below(Path::new("/"))
}

/// The smallest limit of the process's group and those around it, as far as they can be seen: a container mostly sees
/// its own as the root.
fn read_below(root: &Path) -> Share {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut limits = Share::default();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let has = |name| controllers.split(',').any(|controller| controller == name);
        let mount = root.join("sys/fs/cgroup");
        if controllers.is_empty() {
            lower(&mut limits, &mount, group, v2);
        } else if has("cpu") {
            lower(&mut limits, &mount.join("cpu"), group, v1_cpu);
        } else if has("memory") {
            lower(&mut limits, &mount.join("memory"), group, v1_memory);
        }
    }
    limits
}

fn lower(limits: &mut Share, mount: &Path, group: &str, read: fn(&Path) -> Share) {
    let own = mount.join(group.trim_start_matches('/'));
    for folder in own.ancestors().take_while(|folder| folder.starts_with(mount)) {
        let found = read(folder);
        limits.cpus = least(limits.cpus, found.cpus, f64::min);
        limits.memory = least(limits.memory, found.memory, u64::min);
    }
}

fn least<T>(one: Option<T>, other: Option<T>, min: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(min(one, other)),
        (one, other) => one.or(other),
    }
}

fn v2(folder: &Path) -> Share {
    // "150000 100000", or "max 100000".
    let cpu = text(&folder.join("cpu.max")).and_then(|text| {
        let (quota, period) = text.split_once(' ')?;
        ratio(quota, period)
    });
    Share {
        cpus: cpu,
        memory: text(&folder.join("memory.max")).and_then(|text| text.parse().ok()),
        ..Share::default()
    }
}

fn v1_cpu(folder: &Path) -> Share {
    let cpu = text(&folder.join("cpu.cfs_quota_us"))
        .zip(text(&folder.join("cpu.cfs_period_us")))
        .and_then(|(quota, period)| ratio(&quota, &period));
    Share { cpus: cpu, ..Share::default() }
}

fn v1_memory(folder: &Path) -> Share {
    // "No limit" is the largest multiple of a page there, far above any machine's memory.
    let memory = text(&folder.join("memory.limit_in_bytes"))
        .and_then(|text| text.parse().ok())
        .filter(|limit| *limit < 1 << 60);
    Share { memory, ..Share::default() }
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

    fn read(files: &[(&str, &str)]) -> Share {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read_below(root.path())
    }

    #[test]
    fn no_control_groups_are_no_limits() {
        assert_eq!(read(&[]), Share::default());
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
        assert_eq!(limits, Share { cpus: Some(1.5), memory: Some(268_435_456), ..Share::default() });
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_root() {
        let limits = read(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/memory.max", "67108864\n"),
        ]);
        assert_eq!(limits, Share { cpus: Some(0.5), memory: Some(67_108_864), ..Share::default() });
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
        assert_eq!(read(&files), Share { cpus: Some(2.5), memory: Some(134_217_728), ..Share::default() });
    }
}
