//! The startup snapshot beside the program: it is made when asked for, and one that does not fit does no harm.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use testkit::{Launch, Mount};

use crate::support::program;

/// The program under another name, in a folder of its own, with nothing beside it.
fn alone() -> (TempDir, PathBuf) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("funchost-nodejs");
    fs::hard_link(program().program(), &path).expect("a link to the program");
    (folder, path)
}

/// What the host at `path` says when it serves a function, which has to work.
fn said(path: &Path) -> String {
    let mount = Mount::with("function.js", "exports.handler = (event) => event.extensions.request.path");
    let host = Launch::new(path).function(mount.path(), "function", "handler").start();
    assert_eq!(host.client().get("/served").text(), "/served");
    host.stop().stderr
}

#[test]
fn a_snapshot_is_made_once_and_used() {
    let (folder, path) = alone();
    let made = folder.path().join("funchost-nodejs.snapshot");
    let finished = Launch::new(&path).arg("snapshot").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let first = fs::metadata(&made).and_then(|file| file.modified()).expect("a snapshot");
    assert_eq!(Launch::new(&path).arg("snapshot").run().code, Some(0));
    assert_eq!(fs::metadata(&made).and_then(|file| file.modified()).expect("a snapshot"), first);
    assert!(!said(&path).contains("snapshot"));
    // Nothing is left behind that was needed on the way.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn a_host_without_one_says_so_once_and_serves() {
    let (_folder, path) = alone();
    let log = said(&path);
    assert_eq!(log.matches("cannot read the startup snapshot").count(), 1, "{log}");
}

#[test]
fn one_that_is_not_of_this_build_is_not_used() {
    let (folder, path) = alone();
    let good = folder.path().join("good");
    assert_eq!(Launch::new(&path).arg("snapshot").arg(&good).run().code, Some(0));
    let good = fs::read(good).expect("a snapshot");
    let foreign: Vec<u8> = good.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    for bad in [b"not a snapshot".as_slice(), &good[..200], &good[..good.len() / 2], &foreign] {
        fs::write(folder.path().join("funchost-nodejs.snapshot"), bad).expect("a file");
        let log = said(&path);
        assert_eq!(log.matches("is of another build").count(), 1, "{} bytes: {log}", bad.len());
    }
    // It is replaced when one is asked for.
    assert_eq!(Launch::new(&path).arg("snapshot").run().code, Some(0));
    assert!(!said(&path).contains("snapshot"));
}

#[test]
fn where_it_cannot_be_written_is_said() {
    let finished = program().arg("snapshot").arg("/nonexistent/folder/file").run();
    assert_eq!(finished.code, Some(70), "{finished:?}");
    assert!(finished.stderr.contains("/nonexistent/folder/file"), "{finished:?}");
    let finished = program().arg("snapshot").arg("one").arg("two").run();
    assert_eq!(finished.code, Some(64), "{finished:?}");
}
