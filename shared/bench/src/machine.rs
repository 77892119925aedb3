//! What a run is made on, and with.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{result::Machine, tree::TICKS_PER_SECOND};

/// For how long the machine is looked at before it is measured on.
const LOOK: Duration = Duration::from_secs(2);

/// This machine.
pub(super) fn machine() -> Machine {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (cpuinfo, release) = (read("/proc/cpuinfo"), read("/etc/os-release"));
    Machine {
        cpu: field(&cpuinfo, "model name", ':').unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        memory_mib: field(&read("/proc/meminfo"), "MemTotal", ':')
            .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib / 1024),
        system: field(&release, "PRETTY_NAME", '=').unwrap_or_default().trim_matches('"').to_owned(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        virtual_machine: cpuinfo.contains(" hypervisor"),
        busy_before: busy(),
    }
}

/// How many processors others use at the moment, other virtual machines among them. The load average would not tell: it
/// remembers the build before.
#[expect(clippy::disallowed_methods, reason = "nothing is waited for: the time is what is looked at")]
fn busy() -> f64 {
    let ticks = || busy_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default());
    let (before, since) = (ticks(), Instant::now());
    thread::sleep(LOOK);
    ticks().saturating_sub(before) as f64 / TICKS_PER_SECOND / since.elapsed().as_secs_f64()
}

/// All that processors have done since the machine began: neither idle nor waiting, and not what guests have done, which
/// is counted with the user's.
fn busy_ticks(stat: &str) -> u64 {
    let Some(line) = stat.lines().find_map(|line| line.strip_prefix("cpu ")) else { return 0 };
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let (idle, waiting) = (3, 4);
    fields
        .iter()
        .take(8)
        .enumerate()
        .filter(|(index, _)| ![idle, waiting].contains(index))
        .map(|(_, ticks)| ticks)
        .sum()
}

fn field(text: &str, name: &str, separator: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The first line that a command prints, of whichever stream has one; nothing where there is none.
pub(super) fn first_line(command: &[String]) -> String {
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// The versions of what makes the load.
pub(super) fn tools(installed: &Path) -> BTreeMap<String, String> {
    let oha = installed.join("bin/oha").to_string_lossy().into_owned();
    // wrk's version stands in the first two words; the rest is about its author.
    let wrk = first_line(&["wrk".to_owned(), "--version".to_owned()]);
    let wrk = wrk.split(' ').take(2).collect::<Vec<_>>().join(" ");
    BTreeMap::from([("oha".to_owned(), first_line(&[oha, "--version".to_owned()])), ("wrk".to_owned(), wrk)])
}

/// The commit of the folder that this runs in, as far as Git knows one.
pub(super) fn revision() -> String {
    first_line(&["git", "describe", "--always", "--dirty", "--abbrev=12"].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_when_they_do_not_wait() {
        let stat = "cpu  1 20 300 9000 9000 4000 50000 600000 9000 9000\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat), 654_321);
    }

    #[test]
    fn fields_are_found_by_their_whole_names() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: A CPU: fast\n";
        assert_eq!(field(text, "model name", ':').as_deref(), Some("A CPU: fast"));
        assert_eq!(field(text, "name", ':'), None);
    }
}
