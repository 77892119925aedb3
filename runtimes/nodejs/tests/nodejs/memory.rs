//! A function that takes more memory than it may: its call fails, its isolate is replaced, the host lives.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::support::{Function, at_once};

const BOMBS: &str = "
const kept = []
const bombs = {
  hello: () => 'hello',
  objects: () => { for (;;) kept.push({ a: kept.length, b: [kept.length] }) },
  arrays: () => { for (;;) kept.push(new Array(1e5).fill(0.5)) },
  // A loop that V8 unrolls.
  slots: () => { const all = []; for (;;) all.push(new Array(1000).fill({})) },
  strings: () => { let s = 'x'; for (;;) { s += s + kept.length; kept.push(Buffer.from(s.slice(0, 1e6)).toString('latin1') + s.length) } },
  map: () => { const map = new Map(); for (let i = 0; ; i++) map.set(i, `value ${i}`) },
  awaiting: async () => { for (;;) { for (let i = 0; i < 1e5; i++) kept.push({ i }); await null } },
  buffers: () => { for (;;) kept.push(new ArrayBuffer(1 << 24)) },
  filled: () => { for (;;) kept.push(Buffer.alloc(1 << 22, 'x')) },
  shared: () => { for (;;) kept.push(new SharedArrayBuffer(1 << 24)) },
  timer: () => new Promise(() => setInterval(() => { for (let i = 0; i < 1e5; i++) kept.push({ i }) }, 0)),
}
exports.handler = (event) => bombs[event.extensions.request.path.slice(1)]()
";

/// Small, so that it is reached soon on a busy machine as well.
const LIMIT: (&str, &str) = ("FUNC_HEAP_LIMIT", "64Mi");

#[test]
fn a_heap_bomb_is_answered_500_within_two_seconds_and_the_host_lives() {
    for workers in ["1", "2"] {
        let mut function = Function::serve_with(BOMBS, &[LIMIT, ("FUNC_WORKERS", workers)]);
        for path in [
            "/objects",
            "/arrays",
            "/slots",
            "/strings",
            "/map",
            "/awaiting",
            "/buffers",
            "/filled",
            "/shared",
            "/timer",
        ] {
            // What is made in small steps takes as long as the machine is busy; the deadline has not come, anyhow.
            let limit = if path == "/objects" { Duration::from_secs(2) } else { Duration::MAX };
            let answer = function.get_within(limit, path);
            assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"), "{path}");
            let hello = function.get("/hello");
            assert_eq!((hello.status, hello.text().as_str()), (200, "hello"), "after {path}");
        }
        // What they took is given back: ten bombs together filled more than 640 MiB.
        function.host.until("below 400 MiB", || resident(&function) < 400 << 20);
        function.host.wait_for_line("the isolate's heap came to its limit of 64 MiB");
    }
}

/// Resident memory, in bytes.
pub(crate) fn resident(function: &Function) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", function.host.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kilobytes * 1024
}

#[test]
fn a_built_in_function_that_does_not_stop_is_kept_from_taking_more() {
    // Each object takes 28 bytes at least, so some four times the limit.
    const PARSE: &str = "exports.handler = (event) => {\n\
        \x20 if (event.extensions.request.path === '/hello') return 'hello'\n\
        \x20 return JSON.parse('[' + '{},'.repeat(1e7) + '{}]').length\n\
        }";
    let mut function = Function::serve_with(PARSE, &[LIMIT, ("FUNC_WORKERS", "1")]);
    let answer = function.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"));
    assert_eq!(function.get("/hello").text(), "hello");
    function.host.wait_for_line("an isolate did not stop at its heap's limit (FUNC_HEAP_LIMIT)");
    let taken = resident(&function);
    assert!(taken < 700 << 20, "{} MiB", taken >> 20);
    assert_eq!(function.host.stop().code, Some(0), "the thread that is left does not keep the process");
}

#[test]
fn calls_beside_a_bomb_get_a_clean_answer() {
    let function = Function::serve_with(
        &BOMBS.replace(
            "hello: () => 'hello'",
            "hello: () => 'hello', wait: () => new Promise((resolve) => setTimeout(() => resolve('waited'), 1500))",
        ),
        &[LIMIT, ("FUNC_WORKERS", "1")],
    );
    let answers = at_once(6, |number| match number {
        0 => {
            // After the others have begun.
            let deadline = Instant::now() + Duration::from_secs(10);
            while !function.get("/metrics").text().contains("\nfunchost_calls_in_flight 5\n") {
                assert!(Instant::now() < deadline, "the waiting calls have not begun");
            }
            function.get("/objects")
        }
        _ => function.get("/wait"),
    });
    assert_eq!(answers[0].status, 500);
    for answer in &answers[1..] {
        let text = answer.text();
        assert!((answer.status, text.as_str()) == (200, "waited") || answer.status == 500, "{answer:?}");
    }
    assert_eq!(function.get("/hello").text(), "hello");
}

#[test]
fn memory_that_is_let_go_of_again_is_no_reason_to_fail() {
    let function = Function::serve_with(
        "exports.handler = () => {\n\
         \x20 let sum = 0\n\
         \x20 for (let i = 0; i < 200; i++) sum += new Array(1e5).fill(i).length + Buffer.alloc(1 << 22).length\n\
         \x20 return sum\n\
         }",
        &[LIMIT, ("FUNC_WORKERS", "1"), ("FUNC_TIMEOUT", "20")],
    );
    for _ in 0..3 {
        let answer = function.get("/");
        assert_eq!((answer.status, answer.text()), (200, (200 * (100_000 + (1 << 22))).to_string()));
    }
}
