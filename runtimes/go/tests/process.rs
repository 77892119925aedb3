//! The process as a whole: what does not start and why, what ends it, signals, the environment.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use nix::sys::signal::Signal;
use testkit::{HostProcess, Launch, Mount};

/// The handler does what the path says.
const SOURCE: &str = r#"
package kubeless

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/kubeless/kubeless/pkg/functions"
)

var release = make(chan string)

func Handler(event functions.Event, _ functions.Context) (string, error) {
	switch event.Extensions.Request.URL.Path {
	case "/notify":
		taken := make(chan os.Signal, 10)
		signal.Notify(taken, syscall.SIGTERM, os.Interrupt)
		go func() {
			fmt.Println("the function has taken", <-taken)
		}()
	case "/wait":
		return <-release, nil
	case "/release":
		release <- "released"
	case "/exit":
		os.Exit(3)
	case "/stray-panic":
		go panic("in a goroutine of its own")
		select {}
	case "/limits":
		return fmt.Sprint(runtime.GOMAXPROCS(0), " ", debug.SetMemoryLimit(-1), " ", os.Getenv("MINE")), nil
	case "/print":
		fmt.Println("to standard output")
		fmt.Fprintln(os.Stderr, "to standard error")
	}
	return "", nil
}
"#;

fn mount() -> &'static Path {
    static MOUNT: OnceLock<PathBuf> = OnceLock::new();
    MOUNT.get_or_init(|| support::built("process", SOURCE))
}

fn launch() -> Launch {
    support::host(mount(), "Handler")
}

/// What the process says when it cannot start, and its exit status.
fn refused(launch: &Launch) -> (Option<i32>, String) {
    let finished = launch.run();
    (finished.code, finished.stderr)
}

/// A shared library that is not made by Go, compiled from C.
fn library(mount: &Mount, source: &str) {
    let file = mount.path().join("library.c");
    fs::write(&file, source).expect("a source file");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(mount.path().join("function.so"))
        .arg(file)
        .status();
    assert!(compiled.expect("a C compiler").success());
}

#[test]
fn a_mount_without_a_built_function_is_refused() {
    let mount = Mount::with("function.go", "package kubeless");
    let (code, said) = refused(&support::host(mount.path(), "Handler"));
    assert_eq!(code, Some(65), "{said}");
    let sentence = format!(
        "there is no function.so in {}: compile the function with `funchost-go build` first",
        mount.path().display()
    );
    assert!(said.contains(&sentence), "{said}");
}

#[test]
fn a_plugin_of_another_version_is_refused() {
    for (version, advice) in [(0, "build the function again"), (99, "the funchost-go that it was built with")]
    {
        let mount = Mount::new();
        library(&mount, &format!("const unsigned int funchost_abi = {version};"));
        let (code, said) = refused(&support::host(mount.path(), "Handler"));
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains(&format!("has version {version} of the plugin interface")), "{said}");
        assert!(said.contains(advice), "{said}");
    }
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let mount = Mount::new();
    library(&mount, "int f(void) { return 1; }");
    let (code, said) = refused(&support::host(mount.path(), "Handler"));
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("it has no symbol funchost_abi. Build it with `funchost-go build`"), "{said}");

    let mount = Mount::with("function.so", "not a library");
    let (code, said) = refused(&support::host(mount.path(), "Handler"));
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("function.so cannot be opened: "), "{said}");
}

#[test]
fn a_plugin_for_another_handler_is_refused() {
    let (code, said) = refused(&support::host(mount(), "Other"));
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("was built for the handler Handler, and FUNC_HANDLER asks for Other"), "{said}");
}

#[test]
fn sigterm_is_the_hosts_even_when_the_function_asks_for_it() {
    for (signal, times) in [(Signal::SIGTERM, 60), (Signal::SIGINT, 20)] {
        for _ in 0..times {
            let host = launch().start();
            assert_eq!(host.client().get("/notify").status, 200);
            host.signal(signal);
            let finished = host.wait();
            assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
            assert!(!finished.stdout.contains("the function has taken"), "{}", finished.stdout);
        }
    }
}

#[test]
fn a_running_call_is_finished_after_sigterm() {
    let host = launch().start();
    let client = host.client();
    let waiting = std::thread::spawn({
        let client = client.clone();
        move || client.get("/wait")
    });
    // Rendezvous: this call returns once the waiting one has its word.
    assert_eq!(client.get("/release").status, 200);
    assert_eq!(waiting.join().unwrap().text(), "released");

    let waiting = std::thread::spawn({
        let client = client.clone();
        move || client.get("/wait")
    });
    let releasing = client.connect();
    while !client.get("/metrics").text().contains("funchost_calls_in_flight 1") {}
    host.signal(Signal::SIGTERM);
    // A connection that is open stays usable for the drain; the new call ends the old one.
    drop(releasing.send("GET /release HTTP/1.1\r\nHost: x\r\n\r\n").read_until("\r\n\r\n"));
    assert_eq!(waiting.join().unwrap().text(), "released");
    assert_eq!(host.wait().code, Some(0));
}

/// What one process cannot survive, as the README says.
#[test]
fn exits_and_stray_panics_end_the_process() {
    let crash = |path: &str, log: &Path| {
        let host = launch().env("FUNC_TERMINATION_LOG", log).start();
        assert!(host.client().try_get(path).is_err(), "{path} was answered");
        host.wait()
    };
    let log = Mount::with("log", "");
    let log = log.path().join("log");
    let finished = crash("/exit", &log);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);

    // The Go runtime aborts the process that it is a library of: no exit status, but a signal.
    let finished = crash("/stray-panic", &log);
    assert_eq!(finished.code, None, "{}", finished.stderr);
    for said in [finished.stderr, fs::read_to_string(&log).unwrap()] {
        assert!(said.contains("panic: in a goroutine of its own"), "{said}");
        assert!(said.contains("function.Handler"), "{said}");
    }
}

#[test]
fn a_panic_while_the_function_is_initialised_ends_the_process() {
    let root = support::built(
        "init-panic",
        r#"
package kubeless

import "github.com/kubeless/kubeless/pkg/functions"

func init() { panic("no database") }

func Handler(functions.Event, functions.Context) (string, error) { return "", nil }
"#,
    );
    let (code, said) = refused(&support::host(&root, "Handler"));
    assert_eq!(code, None, "ended by a signal\n{said}");
    assert!(said.contains("panic: no database"), "{said}");
}

#[test]
fn the_environment_is_the_functions_too() {
    let limits = |host: &HostProcess| host.client().get("/limits").text();
    let host = launch().env("GOMAXPROCS", "7").env("GOMEMLIMIT", "100MiB").env("MINE", "a b").start();
    assert_eq!(limits(&host), "7 104857600 a b");
}

#[test]
fn what_the_function_prints_goes_out_as_it_is() {
    let mut host = launch().start();
    assert_eq!(host.client().get("/print").status, 200);
    host.wait_for_line("to standard error");
    host.wait_for_line("to standard output");
    assert!(host.stdout().contains("to standard output\n") && host.stderr().contains("to standard error\n"));
}

#[test]
fn the_build_info_names_the_toolchain() {
    let host = launch().start();
    let metrics = host.client().get("/metrics").text();
    assert!(metrics.contains(r#"language="go",runtime="Go 1."#), "{metrics}");
}
