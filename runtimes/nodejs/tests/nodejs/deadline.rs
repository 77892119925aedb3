//! Past its deadline a call is answered 408, whether it spins or waits, and its neighbours go on.

use std::time::{Duration, Instant};

use testkit::Answer;

use crate::support::{Function, at_once};

/// An answer has to be there this long after its request; the deadline is two seconds.
const LATEST: Duration = Duration::from_millis(2200);

const ENDLESS: &str = "
const spin = () => { for (;;); }
const ways = {
  hello: () => 'hello',
  loop: spin,
  catch: () => { for (;;) { try { spin() } catch {} } },
  finally: () => { try { spin() } finally { spin() } },
  microtasks: async () => { for (;;) await null },
  allocating: () => { for (let i = 0; ; i++) String(i) },
  regexp: () => /^(a+)+$/.test('a'.repeat(60) + 'b'),
  sort: () => [3, 1, 2].sort(() => { for (;;); }),
  getter: () => ({ get a() { for (;;); } }),
  later: async () => { await new Promise((resolve) => setTimeout(resolve, 50)); spin() },
  timer: () => new Promise(() => setTimeout(spin, 20)),
  immediates: () => new Promise(() => { const again = () => setImmediate(again); again() }),
  blocked: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  never: () => new Promise(() => {}),
  slow: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
  interval: () => new Promise(() => setInterval(() => {}, 10)),
  generator: () => { function* all() { for (;;) yield 1 } for (const one of all()); },
  webassembly: () => {
    // (func (loop (br 0)))
    const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11]
    return new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes))).exports.f()
  },
}
exports.handler = (event) => ways[event.extensions.request.path.slice(1)]()
";

const WAYS: [&str; 17] = [
    "loop",
    "catch",
    "finally",
    "microtasks",
    "allocating",
    "regexp",
    "sort",
    "getter",
    "later",
    "timer",
    "immediates",
    "blocked",
    "never",
    "slow",
    "interval",
    "generator",
    "webassembly",
];

#[test]
fn whatever_does_not_end_is_answered_in_time_while_others_go_on() {
    // While one isolate spins and another one is being started in the place of the last that did, one is left.
    let function = Function::serve_with(ENDLESS, &[("FUNC_TIMEOUT", "2"), ("FUNC_WORKERS", "3")]);
    for way in WAYS {
        let mut hello = Vec::new();
        let answer = std::thread::scope(|scope| {
            let endless = scope.spawn(|| function.get_within(LATEST, &format!("/{way}")));
            while !endless.is_finished() {
                hello.push(function.get("/hello"));
            }
            endless.join().expect("an answer")
        });
        assert_eq!(answer.status, 408, "{way}");
        assert!(
            hello.iter().all(|answer| answer.status == 200 && answer.text() == "hello"),
            "{way}: {hello:?}"
        );
        // One that waited for the endless call would be the only one.
        assert!(hello.len() > 3, "{way}: only {} calls went through meanwhile", hello.len());
    }
    // All of them have been ended: none is left that holds a place.
    until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_in_flight 0\n"));
    until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_stuck 0\n"));
    assert_eq!(function.get("/readyz").status, 200);
}

/// Asks until the answer is as wanted.
fn until(function: &Function, path: &str, wanted: impl Fn(&Answer) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = function.get(path);
        if wanted(&answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{path}: {} {}", answer.status, answer.text());
    }
}

#[test]
fn a_call_is_not_lost_because_the_only_worker_spins() {
    let function = Function::serve_with(ENDLESS, &[("FUNC_TIMEOUT", "1"), ("FUNC_WORKERS", "1")]);
    for round in 0..3 {
        std::thread::scope(|scope| {
            let spinning = scope.spawn(|| function.get("/loop"));
            until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_in_flight 1\n"));
            // The later half of these comes when the first deadline is near, and has time left after it.
            let hello = at_once(8, |_| function.get("/hello"));
            assert_eq!(spinning.join().expect("an answer").status, 408);
            let fine = hello.iter().filter(|answer| answer.status == 200).count();
            let late = hello.iter().filter(|answer| answer.status == 408).count();
            assert_eq!(fine + late, 8, "round {round}: {hello:?}");
        });
        assert_eq!(function.get("/hello").text(), "hello", "round {round}");
    }
}

#[test]
fn a_call_that_runs_while_another_is_overdue_is_not_the_victim() {
    let function = Function::serve_with(
        "exports.handler = ({ extensions: { request } }) => {\n\
         \x20 if (request.path === '/never') return new Promise(() => {})\n\
         \x20 const end = performance.now() + 200\n\
         \x20 while (performance.now() < end);\n\
         \x20 return 'done'\n\
         }",
        &[("FUNC_TIMEOUT", "1"), ("FUNC_WORKERS", "1")],
    );
    std::thread::scope(|scope| {
        let never = scope.spawn(|| function.get("/never"));
        until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_in_flight 1\n"));
        while !never.is_finished() {
            // The isolate is busy with this one whenever the other's time is over.
            let busy = function.get("/busy");
            assert_eq!((busy.status, busy.text().as_str()), (200, "done"));
        }
        assert_eq!(never.join().expect("an answer").status, 408);
    });
    assert_eq!(function.get("/busy").text(), "done");
}

#[test]
fn the_signal_fires_at_the_deadline_and_the_log_says_where_it_was() {
    let mut function = Function::serve_with(
        "exports.handler = async ({ extensions: { signal, request } }) => {\n\
         \x20 if (request.path === '/spin') return spin()\n\
         \x20 if (signal.aborted) return 'aborted before'\n\
         \x20 await new Promise((resolve) => signal.addEventListener('abort', resolve))\n\
         \x20 console.log('told', signal.reason.name)\n\
         }\n\
         function spin() {\n\
         \x20 for (;;);\n\
         }\n",
        &[("FUNC_TIMEOUT", "0.5")],
    );
    assert_eq!(function.get("/").status, 408);
    function.host.wait_for_line("told TimeoutError");
    assert_eq!(function.get("/spin").status, 408);
    function.host.wait_for_line("function.js:8");
}

#[test]
fn a_call_that_is_given_up_by_its_client_is_stopped() {
    let mut function = Function::serve_with(
        "exports.handler = ({ extensions: { request } }) => {\n\
         \x20 if (request.path === '/') return 'hello'\n\
         \x20 console.log('spinning')\n\
         \x20 for (;;);\n\
         }",
        &[("FUNC_WORKERS", "1")],
    );
    for _ in 0..2 {
        let connection = function.connect().send("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
        function.host.wait_for_line("spinning");
        drop(connection);
        assert_eq!(function.get("/").text(), "hello");
    }
}

#[test]
fn timeouts_are_counted_and_fractions_are_allowed() {
    let function = Function::serve_with(ENDLESS, &[("FUNC_TIMEOUT", "0.5")]);
    let answer = function.get("/never");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (408, "*"));
    assert!(answer.took >= Duration::from_millis(499), "{:?}", answer.took);
    let metrics = function.get("/metrics").text();
    assert!(metrics.contains("function_failures_total{method=\"GET\"} 1"), "{metrics}");
    assert!(metrics.contains("funchost_cancelled_total{reason=\"deadline\"} 1"), "{metrics}");
}

#[test]
fn the_signal_cancels_what_it_is_given_to() {
    let mut function = Function::serve_with(
        "const { setTimeout: sleep } = require('timers/promises')\n\
         const http = require('http')\n\
         const silent = new Promise((resolve) => {\n\
         \x20 const server = http.createServer((request) => request.on('close', () => console.log('the other end is told')))\n\
         \x20 server.listen(0, '127.0.0.1', () => resolve(server.address().port))\n\
         })\n\
         exports.handler = async ({ extensions: { request, signal } }) => {\n\
         \x20 try {\n\
         \x20   if (request.path === '/sleep') await sleep(60_000, undefined, { signal })\n\
         \x20   else await fetch(`http://127.0.0.1:${await silent}/`, { signal })\n\
         \x20 } catch (error) { console.log(request.path, error.name, signal.aborted) }\n\
         }",
        &[("FUNC_TIMEOUT", "0.5")],
    );
    assert_eq!(function.get("/sleep").status, 408);
    function.host.wait_for_line("/sleep AbortError true");
    assert_eq!(function.get("/fetch").status, 408);
    function.host.wait_for_line("/fetch TimeoutError true");
    function.host.wait_for_line("the other end is told");
}

/// Deno loads its scripts when they are first needed, and would end the process if one were stopped in the middle.
#[test]
fn a_deadline_while_builtin_modules_are_loaded_ends_the_call_alone() {
    let function = Function::serve_with(
        "
        const modules = require('module').builtinModules
        exports.handler = (event) => {
          if (event.extensions.request.path === '/hello') return 'hello'
          const since = Date.now()
          while (Date.now() - since < 95) ;
          for (const name of modules) { try { require(name) } catch {} }
          for (;;) ;
        }
        ",
        &[("FUNC_TIMEOUT", "0.1"), ("FUNC_WORKERS", "1")],
    );
    for _ in 0..10 {
        assert_eq!(function.get("/modules").status, 408);
        until(&function, "/hello", |answer| answer.text() == "hello");
    }
}

#[test]
fn isolates_that_were_given_up_do_not_pile_up() {
    let function = Function::serve_with(ENDLESS, &[("FUNC_TIMEOUT", "0.2"), ("FUNC_WORKERS", "2")]);
    until(&function, "/hello", |answer| answer.text() == "hello");
    let threads =
        || std::fs::read_dir(format!("/proc/{}/task", function.host.pid())).expect("a process").count();
    until(&function, "/metrics", |_| threads() >= 4);
    let before = threads();
    for _ in 0..5 {
        for answer in
            at_once(4, |number| function.get(["/loop", "/microtasks", "/blocked", "/never"][number]))
        {
            assert_eq!(answer.status, 408);
        }
        until(&function, "/hello", |answer| answer.text() == "hello");
    }
    until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_stuck 0\n"));
    // Fifteen isolates or more have been replaced; left are those that take calls, twice as many as wanted at the most.
    until(&function, "/metrics", |_| threads() <= before + 3);
}
