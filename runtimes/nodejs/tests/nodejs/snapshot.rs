//! The startup snapshot beside the program: it is made when asked for, and one that does not fit is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::TempDir;
use testkit::{Launch, Mount};

use crate::support::{Function, program};

/// The program under another name, in a folder of its own, with nothing beside it.
fn alone() -> (TempDir, PathBuf) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("funchost-nodejs");
    fs::hard_link(program().program(), &path).expect("a link to the program");
    (folder, path)
}

/// Starts the program at `path` with a function.
fn launch(path: &Path) -> (Mount, Launch) {
    let mount = Mount::with("function.js", "exports.handler = (event) => event.extensions.request.path");
    let launch = Launch::new(path).function(mount.path(), "function", "handler");
    (mount, launch)
}

fn serves(path: &Path) {
    let (_mount, launch) = launch(path);
    assert_eq!(launch.start().client().get("/served").text(), "/served");
}

/// The host does not start for this reason, and says what helps.
fn refuses(path: &Path, reason: &str) {
    let (_mount, launch) = launch(path);
    let finished = launch.run();
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(finished.stderr.contains(reason), "{finished:?}");
    assert!(finished.stderr.contains("`funchost-nodejs snapshot`"), "{finished:?}");
}

#[test]
fn a_snapshot_is_made_once_and_used() {
    let (folder, path) = alone();
    refuses(&path, "cannot read the startup snapshot");
    let made = folder.path().join("funchost-nodejs.snapshot");
    let finished = Launch::new(&path).arg("snapshot").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let first = fs::metadata(&made).and_then(|file| file.modified()).expect("a snapshot");
    assert_eq!(Launch::new(&path).arg("snapshot").run().code, Some(0));
    assert_eq!(fs::metadata(&made).and_then(|file| file.modified()).expect("a snapshot"), first);
    serves(&path);
    // Nothing is left behind that was needed on the way.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn one_that_is_not_of_this_build_is_refused_and_replaced() {
    let (folder, path) = alone();
    let good = folder.path().join("good");
    assert_eq!(Launch::new(&path).arg("snapshot").arg(&good).run().code, Some(0));
    let good = fs::read(good).expect("a snapshot");
    let foreign: Vec<u8> = good.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    for bad in [b"not a snapshot".as_slice(), &good[..200], &good[..good.len() / 2], &foreign] {
        fs::write(folder.path().join("funchost-nodejs.snapshot"), bad).expect("a file");
        refuses(&path, "is of another build");
    }
    assert_eq!(Launch::new(&path).arg("snapshot").run().code, Some(0));
    serves(&path);
}

#[test]
fn where_it_cannot_be_written_is_said() {
    let finished = program().arg("snapshot").arg("/nonexistent/folder/file").run();
    assert_eq!(finished.code, Some(70), "{finished:?}");
    assert!(finished.stderr.contains("/nonexistent/folder/file"), "{finished:?}");
    let finished = program().arg("snapshot").arg("one").arg("two").run();
    assert_eq!(finished.code, Some(64), "{finished:?}");
}

/// What the process that makes the snapshot knows of itself is in none of those that start from it.
#[test]
fn each_start_has_chance_time_and_process_of_its_own() {
    const FACTS: &str = "exports.facts = () => \
        [process.pid, process.env.MARK, process.noDeprecation, process.throwDeprecation, process.title]";
    const THREAD: &str = "import { facts } from './facts.js'; postMessage(facts())";
    const FUNCTION: &str = "\
        const { facts } = require('./facts.js')\n\
        const chance = [Math.random(), crypto.randomUUID(), require('crypto').randomBytes(8).toString('hex')]\n\
        const young = performance.now() < 60000 && Math.abs(performance.timeOrigin - Date.now()) < 60000\n\
        exports.handler = async () => {\n\
            const thread = new Worker(`file://${__dirname}/thread.mjs`, { type: 'module' })\n\
            const told = await new Promise((resolve) => { thread.onmessage = (message) => resolve(message.data) })\n\
            return { chance, young, main: facts(), thread: told }\n\
        }\n";
    let start = |mark| {
        let mount = Mount::with("function.js", FUNCTION).file("facts.js", FACTS).file("thread.mjs", THREAD);
        let options = "--no-deprecation --title=mine";
        let variables = [("FUNC_ISOLATION", "thread"), ("MARK", mark), ("NODE_OPTIONS", options)];
        let function = Function::serve_mount(mount, &variables);
        let answer = function.get("/").json();
        let facts = json!([function.host.pid(), mark, false, null, "mine"]);
        assert_eq!(answer["main"], facts);
        assert_eq!(answer["thread"], facts);
        assert_eq!(answer["young"], true);
        answer["chance"].clone()
    };
    let (first, second) = (start("first"), start("second"));
    for which in 0..3 {
        assert_ne!(first[which], second[which], "{first} {second}");
    }
}

/// Deno forgets the text of a module that another one loads on demand while the snapshot is made; functions in it that
/// have not run could not be compiled any more.
#[test]
fn what_is_in_the_snapshot_can_be_compiled_when_it_is_called() {
    let code = "const { locks } = require('worker_threads')\n\
                exports.handler = () => locks.request('one', async (lock) => [lock.name, await locks.query()])";
    let answer = Function::serve(code).get("/").json();
    assert_eq!(answer[0], "one", "{answer}");
    assert_eq!(answer[1]["held"][0]["name"], "one", "{answer}");
}
