//! Finding Python: one build for all of them.

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Launch, Mount};

const VERSION: &str = "import sys\n\
    async def handler(event, context): return '%d.%d' % sys.version_info[:2] + ' ' + sys.prefix\n";

/// A launcher that knows of no Python but what the test gives it.
fn bare() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_funchost-python")).without("FUNC_PYTHON").env("PATH", "/nonexistent")
}

/// Executables of different minor versions, of those that this machine has: on the path, and pyenv's.
fn executables() -> BTreeMap<String, PathBuf> {
    let variable = |name: &str| {
        Launch::new("/")
            .inherit(name)
            .variables()
            .find(|found| found.0 == name)
            .map(|found| found.1.to_owned())
    };
    let mut candidates: Vec<PathBuf> = variable("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .flat_map(|folder| {
            let minor = (10..=15).map(|minor| format!("python3.{minor}"));
            minor.chain(["python3".to_owned()]).map(move |name| folder.join(name))
        })
        .collect();
    let pyenv = variable("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    for entry in pyenv.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
        candidates.push(entry.path().join("bin/python3"));
    }
    let question = "import sys, sysconfig\n\
        shared = sysconfig.get_config_var('Py_ENABLE_SHARED') and sys.version_info >= (3, 10)\n\
        print('%d.%d' % sys.version_info[:2] if shared else '', sys.executable, sep='\\n')";
    let mut found = BTreeMap::new();
    for candidate in candidates.into_iter().filter(|path| path.is_file()) {
        let Ok(output) = Command::new(&candidate).args(["-I", "-S", "-c", question]).output() else {
            continue;
        };
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        // What runs in the end: a candidate may be a script that chooses one.
        if let Some((version, executable)) =
            answer.trim_end().split_once('\n').filter(|answer| !answer.0.is_empty())
        {
            found.entry(version.to_owned()).or_insert(executable.into());
        }
    }
    found
}

#[test]
fn one_build_runs_on_every_python_there_is() {
    let mount = Mount::with("function.py", VERSION);
    let pythons = executables();
    assert!(!pythons.is_empty(), "this machine has no Python 3.10 or later with a shared library");
    if pythons.len() == 1 {
        eprintln!(
            "only Python {pythons:?} is here: that one build serves several is not shown on this machine"
        );
    }
    for (version, executable) in pythons {
        let launch = bare().function(mount.path(), "function", "handler").env("FUNC_PYTHON", &executable);
        let mut host = launch.start();
        let answer = host.client().get("/").text();
        assert!(answer.starts_with(&format!("{version} ")), "{}: {answer}", executable.display());
        host.wait_for_line(&format!("on CPython {version}."));
    }
}

#[test]
fn a_virtual_environment_brings_its_packages() {
    let (version, executable) = executables().pop_first().expect("a Python");
    let folder = Mount::new();
    let venv = folder.path().join("venv");
    let made = Command::new(&executable).args(["-m", "venv", "--without-pip"]).arg(&venv).status();
    assert!(made.expect("venv runs").success());
    let packages = venv.join(format!("lib/python{version}/site-packages"));
    std::fs::write(packages.join("installed_here.py"), "NAME = 'from the venv'").expect("a package");
    let mount = Mount::with(
        "function.py",
        "import sys, installed_here\n\
         def handler(event, context): return {'is': [installed_here.NAME, sys.prefix, sys.executable]}\n",
    );
    let python = venv.join("bin/python3");
    let expected = serde_json::json!({"is": ["from the venv", venv.to_str(), python.to_str()]});
    let launch = bare().function(mount.path(), "function", "handler");
    // Named explicitly, and as an activated environment is found.
    for launch in
        [launch.clone().env("FUNC_PYTHON", venv.join("bin/python3")), launch.env("PATH", venv.join("bin"))]
    {
        assert_eq!(launch.start().client().get("/").json(), expected);
    }
}

#[test]
fn a_library_can_be_named_instead_of_an_executable() {
    let mount = Mount::with("function.py", VERSION);
    for (version, executable) in executables() {
        let real = executable.canonicalize().expect("an executable");
        let library =
            real.ancestors().nth(2).map(|prefix| prefix.join(format!("lib/libpython{version}.so.1.0")));
        let Some(library) = library.filter(|path| path.is_file()) else { continue };
        let launch = bare().function(mount.path(), "function", "handler").env("FUNC_PYTHON", &library);
        let answer = launch.start().client().get("/").text();
        assert!(answer.starts_with(&format!("{version} ")), "{}: {answer}", library.display());
    }
}

#[test]
fn without_any_python_the_message_lists_what_was_tried() {
    let mount = Mount::with("function.py", VERSION);
    let folder = Mount::new();
    let launch = bare().function(mount.path(), "function", "handler");

    let wrong = launch.clone().env("FUNC_PYTHON", "/nonexistent/python3").run();
    assert_eq!(wrong.code, Some(69), "{wrong:?}");
    assert!(
        wrong.stderr.contains("FUNC_PYTHON") && wrong.stderr.contains("/nonexistent/python3: cannot be run"),
        "{wrong:?}"
    );

    let wrong = launch.clone().env("FUNC_PYTHON", "/bin/false").run();
    assert_eq!(wrong.code, Some(69), "{wrong:?}");
    assert!(wrong.stderr.contains("/bin/false: does not answer like a Python 3"), "{wrong:?}");

    let wrong = launch.clone().env("FUNC_PYTHON", "python3.99").run();
    assert!(wrong.stderr.contains("python3.99: not on PATH"), "{wrong:?}");

    let fake = folder.file("libpython3.9.so", "not a library");
    let wrong = launch.env("FUNC_PYTHON", fake.path().join("libpython3.9.so")).run();
    assert_eq!(wrong.code, Some(69), "{wrong:?}");
    assert!(wrong.stderr.contains("libpython3.9.so: "), "{wrong:?}");
}

#[test]
fn a_python_that_is_too_old_or_of_another_kind_is_refused_by_name() {
    let folder = Mount::new();
    // The second one is where an installed Python would be, with a library, and is a script all the same.
    let folder = folder.file("lib/libpython3.11.so.1.0", "").file("bin/empty", "");
    for name in ["python3", "bin/python3.11"] {
        let script = folder.path().join(name);
        std::fs::write(&script, "#!/bin/sh\nprintf 'pypy\\n3.11\\n/x\\n/y\\n\\n\\n\\n'\n").expect("a script");
        let mut mode = std::fs::metadata(&script).expect("the script").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&script, mode).expect("a mode");
        let finished =
            bare().function(folder.path(), "function", "handler").env("FUNC_PYTHON", &script).run();
        assert_eq!(finished.code, Some(69), "{name}: {finished:?}");
        assert!(finished.stderr.contains("it is \"pypy\"; allowed: cpython"), "{name}: {finished:?}");
    }
}

#[test]
fn the_program_tells_about_itself_without_any_python() {
    let folder = Mount::new();
    // Alone in a folder, so that not even its own library is there.
    let alone = folder.path().join("funchost-python");
    symlink(env!("CARGO_BIN_EXE_funchost-python"), &alone).expect("a link");
    let run = |argument: &str| Launch::new(&alone).env("PATH", "/nonexistent").arg(argument).run();
    let help = run("--help");
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("FUNC_PYTHON") && help.stdout.contains("MOD_NAME"), "{help:?}");
    assert!(run("--version").stdout.starts_with("funchost-python "));
    let described: serde_json::Value = serde_json::from_str(&run("--describe").stdout).expect("JSON");
    assert_eq!(described["language"], "python");
    let claims =
        |name: &str| described["capabilities"].as_array().is_some_and(|all| all.contains(&name.into()));
    assert!(claims("structured-data") && claims("multipart"), "{described}");
    assert!(!claims("streaming-request"), "{described}");
    assert_eq!(run("--nonsense").code, Some(64));
}

#[test]
fn the_vendored_bottle_is_the_one_its_readme_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../third_party/bottle");
    let output = Command::new("sha256sum").arg(folder.join("bottle.py")).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&output.stdout);
    let sum = sum.split_whitespace().next().unwrap_or_default();
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("the README");
    assert!(sum.len() == 64 && readme.contains(sum), "bottle.py has the checksum {sum}");
}
