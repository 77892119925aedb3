//! Exceptions: the client learns nothing, the log everything, and the host goes on.

use testkit::Mount;

use crate::support::Function;

const CODE: &str = "
const cases = {
  error: () => { throw new Error('secret of the house') },
  rejects: () => Promise.reject(new RangeError('by promise')),
  await: async () => { await null; throw new SyntaxError('after await') },
  text: () => { throw 'just text' },
  nothing: () => { throw undefined },
  null: () => Promise.reject(null),
  symbol: () => { throw Symbol('sym') },
  object: () => { throw { code: 'E_OWN' } },
  hostile: () => { throw { get stack() { throw new Error('from stack') }, get message() { throw 1 }, toString: null } },
  proxy: () => { throw new Proxy({}, { get() { throw new Error('from proxy') } }) },
  recursion: function again() { return again() },
  cause: () => { throw new Error('outer', { cause: new TypeError('inner') }) },
  aggregate: () => Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))]),
  own: () => { class PaymentError extends Error { name = 'PaymentError' } throw new PaymentError('no money') },
  system: () => require('fs').readFileSync('/nonexistent'),
  exit: () => process.exit(3),
  later: () => new Promise(() => setTimeout(() => { throw new Error('in a timer') }, 5)),
  stray: () => { Promise.reject(new Error('nobody caught it')); return new Promise(() => {}) },
  emitter: () => new Promise(() => setImmediate(() => new (require('events'))().emit('error', new Error('unheard')))),
  tick: () => new Promise(() => process.nextTick(() => { throw new Error('in a tick') })),
}
exports.handler = (event) => {
  const run = cases[event.extensions.request.path.slice(1)]
  return run ? run() : 'fine'
}
";

const PATHS: &[(&str, &str)] = &[
    ("/error", "Error: secret of the house"),
    ("/rejects", "RangeError: by promise"),
    ("/await", "SyntaxError: after await"),
    ("/text", "just text"),
    ("/nothing", "undefined"),
    ("/null", "null"),
    ("/symbol", "Symbol(sym)"),
    ("/object", "E_OWN"),
    ("/hostile", "the function failed"),
    ("/proxy", "the function failed"),
    ("/recursion", "RangeError: Maximum call stack size exceeded"),
    ("/cause", "TypeError: inner"),
    ("/aggregate", "AggregateError"),
    ("/own", "PaymentError: no money"),
    ("/system", "ENOENT"),
    ("/exit", "process.exit"),
    // The call is still running, so it is the call that fails, and at once.
    ("/later", "Error: in a timer"),
    ("/stray", "Error: nobody caught it"),
    ("/emitter", "Error: unheard"),
    ("/tick", "Error: in a tick"),
];

#[test]
fn whatever_a_handler_throws_is_one_failed_call() {
    let mut function = Function::serve_with(CODE, &[("FUNC_WORKERS", "1"), ("FUNC_TIMEOUT", "20")]);
    for (path, logged) in PATHS {
        let answer = function.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"), "{path}");
        function.host.wait_for_line(logged);
        assert_eq!(function.get("/").text(), "fine", "after {path}");
    }
    let metrics = function.get("/metrics").text();
    let failures = format!("function_failures_total{{method=\"GET\"}} {}", PATHS.len());
    assert!(metrics.contains(&failures), "{failures}\n{metrics}");
}

#[test]
fn the_stack_is_the_functions_own() {
    let mount = Mount::with(
        "function.js",
        "const { divide } = require('./library')\n\
         exports.handler = async (event) => {\n\
         \x20 await null\n\
         \x20 return divide(1)\n\
         }\n",
    )
    .file("library.js", "exports.divide = (by) => {\n  return by.nothing.at.all\n}\n");
    let mut function = Function::serve_mount(mount, &[]);
    function.get("/");
    function.host.wait_for_line("TypeError: Cannot read properties of undefined (reading 'at')");
    function.host.wait_for_line("library.js:2:21");
    function.host.wait_for_line("function.js:4:10");
    let log = function.host.stderr();
    assert!(!log.contains("ext:funchost"), "{log}");
}

#[test]
fn stacks_of_typescript_show_the_lines_that_were_written() {
    let mount = Mount::with(
        "function.ts",
        "interface Order {\n\
         \x20 items: string[]\n\
         }\n\
         \n\
         type Event = { data: Order }\n\
         \n\
         enum Kind { A, B }\n\
         \n\
         export function handler(event: Event): string {\n\
         \x20 const kind: Kind = Kind.B\n\
         \x20 return fail(event.data as Order, kind)\n\
         }\n\
         \n\
         function fail(order: Order, kind: Kind): never {\n\
         \x20 throw new Error(`kind ${kind}`)\n\
         }\n",
    );
    let mut function = Function::serve_mount(mount, &[]);
    assert_eq!(function.get("/").status, 500);
    function.host.wait_for_line("Error: kind 1");
    function.host.wait_for_line("function.ts:15:9");
    function.host.wait_for_line("function.ts:11:10");
}

#[test]
fn failures_after_the_answer_are_logged_and_counted_and_the_host_lives() {
    for (late, said) in [
        ("setTimeout(() => { throw new Error('late timer') }, 30)", "late timer"),
        ("setTimeout(() => Promise.reject(new Error('late rejection')), 30)", "late rejection"),
        ("setTimeout(() => process.exit(1), 30)", "process.exit"),
        ("setImmediate(() => new EventTarget().nothing.at.all)", "Cannot read properties of undefined"),
        (
            "(async () => { await new Promise((r) => setTimeout(r, 30)); throw new Error('late await') })()",
            "late await",
        ),
    ] {
        let code = format!(
            "exports.handler = (event) => {{ if (event['event-id']) {{ {late} }} return 'answered' }}"
        );
        let mut function = Function::serve_with(&code, &[("FUNC_WORKERS", "1")]);
        let answer = function.request(http::Method::GET, "/").header("event-id", "1").send();
        assert_eq!((answer.status, answer.text().as_str()), (200, "answered"), "{late}");
        function.host.wait_for_line(said);
        assert_eq!(function.get("/").text(), "answered", "{late}");
        let metrics = function.get("/metrics").text();
        assert!(metrics.contains("\nfunchost_stray_failures_total 1\n"), "{late}: {metrics}");
        assert!(!metrics.contains("function_failures_total{method=\"GET\"} 1"), "{late}: {metrics}");
    }
}

#[test]
fn a_failure_outside_of_any_call_leaves_calls_alone() {
    let mut function = Function::serve_with(
        "setTimeout(() => { throw new Error('from the module') }, 100)\n\
         exports.handler = () => new Promise((resolve) => setTimeout(() => resolve('waited'), 300))\n",
        &[("FUNC_WORKERS", "1")],
    );
    assert_eq!(function.get("/").text(), "waited");
    function.host.wait_for_line("Error: from the module");
}

#[test]
fn a_function_may_listen_for_its_own_failures() {
    let mut function = Function::serve(
        "process.on('uncaughtException', (error) => console.log('caught', error.message))\n\
         process.on('unhandledRejection', (reason) => console.log('rejected', reason.message))\n\
         exports.handler = () => {\n\
         \x20 setTimeout(() => { throw new Error('late') }, 10)\n\
         \x20 Promise.reject(new Error('lost'))\n\
         \x20 return 'fine'\n\
         }",
    );
    assert_eq!(function.get("/").text(), "fine");
    function.host.wait_for_line("caught late");
    function.host.wait_for_line("rejected lost");
    assert_eq!(function.get("/").text(), "fine");
}

#[test]
fn the_message_is_shown_to_clients_where_that_is_asked_for() {
    let function = Function::serve_with(CODE, &[("FUNC_ERROR_DETAIL", "on")]);
    let answer = function.get("/error");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("secret of the house"), "{}", answer.text());
}
