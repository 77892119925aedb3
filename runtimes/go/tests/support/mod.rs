//! Functions that are built from source for a test, by the real compile step.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::{Client, Finished, Launch, process::PATIENCE};

/// The program.
pub(crate) fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_funchost-go")).in_threads()
}

/// The server, about to be started on a mount whose function has been built.
pub(crate) fn host(root: &Path, handler: &str) -> Launch {
    launch().function(root, "function", handler)
}

/// The compile step, about to be run on a mount.
pub(crate) fn builder(root: &Path, handler: &str) -> Launch {
    launch().arg("build").env("KUBELESS_INSTALL_VOLUME", root).env("KUBELESS_FUNC_NAME", handler)
}

/// Runs the compile step; panics with its report if it fails.
pub(crate) fn build(root: &Path, handler: &str) -> Finished {
    let finished = builder(root, handler).run();
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    finished
}

/// A mount whose function, `Handler` in this source, is built. It has a place of its own, so that the next run finds
/// the library linked already if nothing has changed.
pub(crate) fn built(name: &str, source: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("functions").join(name);
    fs::create_dir_all(&root).and_then(|()| fs::write(root.join("function.go"), source)).expect("a mount");
    build(&root, "Handler");
    root
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024
}

/// Runs something, up to three times, until the process has grown by less than `limit` bytes meanwhile: a heap breathes, but
/// what leaks makes it grow each time. How often it was run.
pub(crate) fn grows_less_than(limit: u64, pid: u32, run: impl Fn()) -> usize {
    let mut grown = Vec::new();
    while grown.len() < 3 {
        let before = resident(pid);
        run();
        grown.push(resident(pid).saturating_sub(before));
        if grown.last().is_some_and(|grown| *grown < limit) {
            return grown.len();
        }
    }
    panic!("it has grown by {grown:?} bytes, each time more than {limit}");
}

/// Waits until a metric has a value; every look is a request, so nothing spins.
pub(crate) fn metric(client: &Client, line: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let metrics = client.get("/metrics").text();
        if metrics.lines().any(|found| found == line) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no {line:?} in\n{metrics}");
    }
}
