//! Finding the function: what works, and what people are told when it does not.

use testkit::{Finished, Mount};

use crate::support::{Function, program};

fn failing(mount: &Mount, module: &str, function: &str) -> Finished {
    let finished = program().function(mount.path(), module, function).run();
    assert_eq!(finished.code, Some(65), "{finished:?}");
    finished
}

fn code(code: &str) -> Mount {
    Mount::with("function.py", code)
}

#[test]
fn a_missing_module_is_told_with_what_is_there() {
    let mount = code("").file("other.py", "").file("package/__init__.py", "");
    let said = failing(&mount, "functoin", "handler").stderr;
    assert!(said.contains("there is no module functoin in "), "{said}");
    assert!(said.contains("it holds function, other, package/"), "{said}");
    let said = failing(&mount, "function.py", "handler").stderr;
    assert!(said.contains("MOD_NAME is the name without \".py\""), "{said}");
    let said = failing(&Mount::new(), "function", "handler").stderr;
    assert!(said.contains("which holds no Python files"), "{said}");
}

#[test]
fn a_missing_function_is_told_with_those_that_are_there() {
    let mount = code(
        "import json\ndef handle(event, context): pass\ndef other(): pass\nclass C: pass\n_x = len\nn = 1",
    );
    let said = failing(&mount, "function", "handler").stderr;
    assert!(said.contains("there is no handler in module function"), "{said}");
    assert!(said.contains("it has C, handle, other"), "{said}");
    let said = failing(&mount, "function", "n").stderr;
    assert!(said.contains("n in module function") && said.contains("is a int, not a function"), "{said}");
}

#[test]
fn an_import_that_fails_is_told_with_its_traceback() {
    for (body, said) in [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def broken(:", "SyntaxError"),
        ("raise ValueError('at import')", "ValueError: at import"),
        ("import sys; sys.exit('leaving')", "SystemExit: leaving"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os.environ['NOT_SET']", "KeyError: 'NOT_SET'"),
    ] {
        let finished = failing(&code(body), "function", "handler");
        assert!(finished.stderr.contains("module function in "), "{body}: {}", finished.stderr);
        assert!(finished.stderr.contains("cannot be imported"), "{body}: {}", finished.stderr);
        assert!(finished.stderr.contains(said), "{body}: {}", finished.stderr);
        assert!(finished.stderr.contains("function.py\", line 1"), "{body}: {}", finished.stderr);
        assert!(!finished.stderr.contains("importlib"), "{body}: {}", finished.stderr);
    }
}

#[test]
fn a_module_of_the_standard_library_wins_over_one_in_the_mount_and_that_is_said() {
    let mount = Mount::with("json.py", "def handler(event, context): pass");
    let said = failing(&mount, "json", "handler").stderr;
    assert!(said.contains("another module of this name comes first in sys.path"), "{said}");
}

#[test]
fn the_failure_is_left_for_kubernetes() {
    let mount = code("raise ValueError('at import')").file("termination-log", "");
    let log = mount.path().join("termination-log");
    let finished =
        program().function(mount.path(), "function", "handler").env("FUNC_TERMINATION_LOG", &log).run();
    assert_eq!(finished.code, Some(65));
    let left = std::fs::read_to_string(log).expect("the termination log");
    assert!(left.contains("ValueError: at import"), "{left}");
}

#[test]
fn a_python_that_cannot_start_says_why() {
    let mount = code("").file("termination-log", "");
    let log = mount.path().join("termination-log");
    let launch = program().function(mount.path(), "function", "handler").env("FUNC_TERMINATION_LOG", &log);
    let finished = launch.env("PYTHONHOME", "/nonexistent").run();
    assert_eq!(finished.code, Some(69), "{finished:?}");
    assert!(finished.stderr.contains("Python cannot be initialised: "), "{finished:?}");
    assert!(std::fs::read_to_string(log).is_ok_and(|left| left.contains("Python cannot be initialised: ")));
}

#[test]
fn modules_may_be_packages_and_import_their_siblings() {
    let mount = Mount::new()
        .file("app/__init__.py", "")
        .file("app/api/main.py", "from app.words import GREETING\nimport shared\ndef run(event, context): return GREETING + shared.WHO")
        .file("app/words.py", "GREETING = 'hello '")
        .file("shared.py", "WHO = 'world'");
    let host = program().function(mount.path(), "app.api.main", "run").start();
    assert_eq!(host.client().get("/").text(), "hello world");
}

#[test]
fn dependencies_are_found_under_the_mount_and_on_pythonpath() {
    let version = version();
    let mount = code(
        "import installed, elsewhere, linked\n\
         def handler(event, context): return installed.NAME + elsewhere.NAME + linked.NAME",
    )
    .file(&format!("lib/python{version}/site-packages/installed.py"), "NAME = 'installed '")
    .file(&format!("lib/python{version}/site-packages/links.pth"), "../../../linked\n")
    .file("linked/linked.py", "NAME = 'linked'");
    let elsewhere = Mount::with("elsewhere.py", "NAME = 'elsewhere '");
    let launch = program().function(mount.path(), "function", "handler").env("PYTHONPATH", elsewhere.path());
    assert_eq!(launch.start().client().get("/").text(), "installed elsewhere linked");
}

/// Major and minor version of the Python that the host runs.
fn version() -> String {
    let function = Function::serve("import sys\ndef handler(e, c): return '%d.%d' % sys.version_info[:2]");
    function.get("/").text()
}

#[test]
fn the_mount_comes_last_and_nothing_is_written_to_it() {
    let mount =
        code("import sys, sibling\ndef handler(event, context): return [sys.path[-1], len(sys.path)]")
            .file("sibling.py", "");
    let host = program().function(mount.path(), "function", "handler").start();
    let path = host.client().get("/").json();
    assert_eq!(path[0].as_str(), mount.path().to_str());
    let mut names: Vec<_> = std::fs::read_dir(mount.path())
        .expect("the mount")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, ["function.py", "sibling.py"]);
}

#[test]
fn the_environment_is_that_of_an_ordinary_python() {
    let function = Function::serve_with(
        "import sys, subprocess, locale, threading, signal\n\
         def handler(event, context):\n\
         \x20   child = subprocess.run([sys.executable, '-c', 'import sys; print(sys.version, sys.prefix)'], capture_output=True)\n\
         \x20   sleeper = subprocess.Popen(['sleep', '60'])\n\
         \x20   sleeper.terminate()\n\
         \x20   return {'same': child.stdout.decode().strip() == f'{sys.version} {sys.prefix}',\n\
         \x20           'encoding': [sys.getfilesystemencoding(), locale.getpreferredencoding().lower()], 'argv': sys.argv,\n\
         \x20           'main': threading.main_thread().name, 'terminated': sleeper.wait(10) == -signal.SIGTERM}",
        &[],
    );
    let answer = function.get("/");
    assert_eq!(
        answer.json(),
        serde_json::json!({"same": true, "encoding": ["utf-8", "utf-8"], "argv": [""],
                           "main": "MainThread", "terminated": true})
    );
}

#[test]
fn an_interrupt_in_a_thread_of_the_function_is_the_hosts() {
    let function = Function::serve_with(
        "import signal, threading\n\
         def handler(event, context):\n\
         \x20   signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n\
         \x20   return 'done'",
        &[("FUNC_ISOLATION", "thread"), ("DRAIN_DELAY", "0")],
    );
    assert_eq!(function.get("/").text(), "done");
    assert_eq!(function.host.wait().code, Some(0));
}
