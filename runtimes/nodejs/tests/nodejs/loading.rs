//! Finding the function: what works, and what people are told when it does not.

use testkit::{Finished, Mount};

use crate::support::{Function, program};

fn failing(mount: &Mount, module: &str, function: &str) -> Finished {
    let finished = program().function(mount.path(), module, function).run();
    assert_eq!(finished.code, Some(65), "{finished:?}");
    finished
}

fn code(code: &str) -> Mount {
    Mount::with("function.js", code)
}

const HELLO: &str = "exports.handler = () => 'hello'";

#[test]
fn a_missing_module_is_told_with_what_is_there() {
    let mount = code("").file("other.ts", "").file("notes.txt", "");
    let said = failing(&mount, "functoin", "handler").stderr;
    assert!(said.contains("there is no module functoin in "), "{said}");
    assert!(said.contains("it holds function.js, other.ts"), "{said}");
    assert!(!said.contains("notes.txt"), "{said}");
    let said = failing(&mount, "function.js", "handler").stderr;
    assert!(
        said.contains("MOD_NAME=function.js names a file") && said.contains("it should be function"),
        "{said}"
    );
    let said = failing(&Mount::new(), "function", "handler").stderr;
    assert!(said.contains("which holds no JavaScript or TypeScript files"), "{said}");
}

#[test]
fn a_missing_function_is_told_with_those_that_are_there() {
    let mount = code("exports.handle = () => {}; exports.other = async () => {}; exports.n = 1");
    let said = failing(&mount, "function", "handler").stderr;
    assert!(said.contains("function.js exports no function handler (FUNC_HANDLER)"), "{said}");
    assert!(said.contains("handle, other"), "{said}");
    // Neither what is no function, nor what every object has.
    for name in ["n", "toString"] {
        let said = failing(&mount, "function", name).stderr;
        assert!(said.contains(&format!("function.js exports no function {name} (FUNC_HANDLER)")), "{said}");
    }
}

#[test]
fn a_module_that_throws_ends_the_process_with_its_stack() {
    for (body, said, place) in [
        ("throw new TypeError('at load')", "TypeError: at load", "function.js:1:7"),
        ("require('nothing-of-this-name')", "nothing-of-this-name", "function.js:1"),
        ("require('./nothing')", "./nothing", "function.js:1"),
        ("function broken( {", "SyntaxError", "function.js:1"),
        ("null.property", "Cannot read properties of null", "function.js:1:6"),
        ("throw 'no error at all'", "no error at all", ""),
        ("throw undefined", "undefined", ""),
    ] {
        let finished = failing(&code(body), "function", "handler");
        assert!(finished.stderr.contains(said), "{body}: {}", finished.stderr);
        assert!(finished.stderr.contains(place), "{body}: {}", finished.stderr);
        assert!(
            !finished.stderr.contains("ext:funchost"),
            "{body}: our own frames are nobody's business\n{}",
            finished.stderr
        );
    }
}

#[test]
fn what_goes_wrong_later_than_the_first_line_is_told_as_well() {
    let mount =
        Mount::with("function.mjs", "await null\nawait Promise.reject(new RangeError('after a while'))\n");
    let said = failing(&mount, "function", "handler").stderr;
    assert!(said.contains("RangeError: after a while") && said.contains("function.mjs:2"), "{said}");

    let mount = code("require('./library').start()")
        .file("library.js", "exports.start = () => {\n  throw new Error('deep')\n}");
    let said = failing(&mount, "function", "handler").stderr;
    assert!(said.contains("library.js:2:9") && said.contains("function.js:1"), "{said}");

    // Nothing will ever settle this.
    let mount = Mount::with("function.mjs", "await new Promise(() => {})\nexport const handler = () => {}");
    let said = failing(&mount, "function", "handler").stderr;
    assert!(said.contains("never"), "{said}");

    let said = failing(&code("process.exit(0)"), "function", "handler").stderr;
    assert!(said.contains("process.exit"), "{said}");
}

#[test]
fn the_failure_is_left_for_kubernetes() {
    let mount = code("throw new Error('at load')").file("termination-log", "");
    let log = mount.path().join("termination-log");
    let finished =
        program().function(mount.path(), "function", "handler").env("FUNC_TERMINATION_LOG", &log).run();
    assert_eq!(finished.code, Some(65));
    let left = std::fs::read_to_string(log).expect("the termination log");
    assert!(left.contains("Error: at load") && left.contains("function.js:1:7"), "{left}");
}

#[test]
fn a_module_may_export_in_every_way() {
    for (file, code) in [
        ("function.js", HELLO),
        ("function.js", "module.exports = { handler: () => 'hello' }"),
        ("function.js", "module.exports = { handler() { return this.word }, word: 'hello' }"),
        ("function.js", "module.exports = () => 'hello'"),
        ("function.js", "module.exports = async function () { return 'hello' }"),
        (
            "function.js",
            "class Word { handler() { return this.word } word = 'hello' }\nmodule.exports = new Word()",
        ),
        ("function.js", "Object.defineProperty(exports, 'handler', { get: () => () => 'hello' })"),
        ("function.js", "exports.__esModule = true; exports.default = { handler: () => 'hello' }"),
        ("function.js", "export const handler = () => 'hello'"),
        ("function.cjs", HELLO),
        ("function.mjs", "export const handler = () => 'hello'"),
        ("function.mjs", "export function handler() { return 'hello' }"),
        ("function.mjs", "export default { handler: () => 'hello' }"),
        ("function.mjs", "export default () => 'hello'"),
        ("function.ts", "export const handler = (): string => 'hello'"),
        ("function.ts", "exports.handler = (): string => 'hello'"),
        ("function.mts", "export const handler = (event: object): string => 'hello'"),
        ("function.cts", "exports.handler = (event: object): string => 'hello'"),
    ] {
        let function = Function::serve_mount(Mount::with(file, code), &[]);
        assert_eq!(function.get("/").text(), "hello", "{file}: {code}");
    }
}

#[test]
fn the_type_that_package_json_says_is_respected_and_an_empty_one_is_none() {
    for (package, code) in [
        ("", HELLO),
        ("  \n", HELLO),
        ("{}", HELLO),
        (r#"{"type": "commonjs"}"#, "exports.handler = () => 'hello'; require('fs')"),
        (r#"{"type": "module"}"#, "import 'fs'\nexport const handler = () => 'hello'"),
    ] {
        let mount = code_with(code, package);
        assert_eq!(Function::serve_mount(mount, &[]).get("/").text(), "hello", "{package:?}");
    }
    let said =
        failing(&code_with("exports.handler = () => {}", r#"{"type": "module"}"#), "function", "handler")
            .stderr;
    assert!(said.contains("exports is not defined"), "{said}");
}

fn code_with(text: &str, package: &str) -> Mount {
    code(text).file("package.json", package)
}

#[test]
fn loading_happens_once_and_before_readiness() {
    let mount = Mount::with(
        "function.mjs",
        "import { setTimeout as sleep } from 'node:timers/promises'\n\
         await sleep(1200)\n\
         export const handler = () => 'quick'\n",
    );
    let launch = program().function(mount.path(), "function", "handler");
    let mut host = launch.env("FUNC_TIMEOUT", "1").spawn();
    host.wait_until_bound();
    let client = host.client();
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/readyz").status, 503);
    host.wait_for_line("ready: function.handler");
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "quick"));
}

#[test]
fn signals_are_the_hosts_whatever_the_function_listens_to() {
    let function = Function::serve(
        "process.on('SIGTERM', () => console.log('the function has it'))\n\
         process.on('SIGINT', () => {})\n\
         setInterval(() => {}, 1000)\n\
         exports.handler = () => 'hello'\n",
    );
    assert_eq!(function.get("/").text(), "hello");
    assert_eq!(function.host.stop().code, Some(0));
}
