//! What a function prints: whole lines, at once, with the call that wrote them.

use http::Method;
use serde_json::Value;

use crate::support::{Function, at_once};

#[test]
fn printed_lines_go_to_the_log_whatever_way_they_are_written() {
    let mut function = Function::serve(
        "exports.handler = () => {\n\
         \x20 console.log('logged', 1, { a: [1] })\n\
         \x20 console.info('%s is %d', 'formatted', 42)\n\
         \x20 console.debug('debugged')\n\
         \x20 process.stdout.write('half ')\n\
         \x20 process.stdout.write('and half\\n')\n\
         \x20 process.stdout.write('two\\nlines\\n')\n\
         \x20 process.stdout.write(Buffer.from('by\\u00fctes\\n'))\n\
         \x20 process.stdout.write(Buffer.from([0x74, 0x6f, 0x72, 0x6e, 0x20, 0xc3]))\n\
         \x20 process.stdout.write(Buffer.from([0xbc, 0x0a]))\n\
         \x20 console.table([{ a: 1 }])\n\
         \x20 console.group('group'); console.log('indented'); console.groupEnd()\n\
         \x20 console.log('many\\nlines\\nat once')\n\
         \x20 console.log()\n\
         \x20 console.log([process.stdout.isTTY ?? false, process.stdout.fd, process.stderr.fd, process.stdout.writable].join(' '))\n\
         \x20 process.stdout.write('told', () => {})\n\
         \x20 console.error('an error'); console.warn('a warning'); console.trace('traced')\n\
         \x20 process.stderr.write('raw error\\n')\n\
         \x20 process.stdout.write('\\nwithout an end')\n\
         \x20 return 'fine'\n\
         }",
    );
    assert_eq!(function.get("/").text(), "fine");
    function.host.wait_for_line("without an end");
    for line in ["an error", "a warning", "Trace: traced", "raw error"] {
        function.host.wait_for_line(line);
    }
    let out = function.host.stdout();
    for line in [
        "logged 1 { a: [ 1 ] }",
        "formatted is 42",
        "debugged",
        "half and half",
        "two",
        "lines",
        "byütes",
        "torn ü",
        "group",
        "  indented",
        "many",
        "at once",
        "false 1 2 true",
        "told",
        "without an end",
    ] {
        assert!(out.lines().any(|written| written == line), "{line:?} is not in\n{out}");
    }
    assert!(out.contains("(index)") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn lines_of_interleaved_calls_are_whole_and_name_their_call() {
    let function = Function::serve_with(
        "const pause = () => new Promise((resolve) => setTimeout(resolve, 1))\n\
         exports.handler = async (event) => {\n\
         \x20 for (let line = 0; line < 5; line++) {\n\
         \x20   await pause()\n\
         \x20   console.log(`${event['event-id']} `.repeat(4) + line)\n\
         \x20 }\n\
         \x20 return 'fine'\n\
         }",
        &[("FUNC_LOG_FORMAT", "json"), ("FUNC_ACCESS_LOG", "off"), ("FUNC_WORKERS", "1")],
    );
    at_once(10, |call| {
        let id = format!("call-{call}");
        let request = function.request(Method::GET, "/");
        assert_eq!(request.header("event-id", &id).header("x-request-id", &id).send().status, 200);
    });
    let finished = function.host.stop();
    let lines: Vec<Value> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 50, "{}", finished.stdout);
    for line in lines {
        let id = line["request_id"].as_str().unwrap_or_default();
        let words: Vec<_> = line["message"].as_str().unwrap_or_default().split(' ').collect();
        assert_eq!(words.len(), 5, "{line}");
        assert!(words[..4].iter().all(|word| *word == id), "{line}");
        assert!(line["trace_id"].is_string(), "{line}");
    }
}

#[test]
fn an_endless_line_goes_out_in_pieces() {
    let function = Function::serve(
        "exports.handler = () => {\n\
         \x20 for (let i = 0; i < 300; i++) process.stdout.write('ü'.repeat(1000))\n\
         \x20 process.stdout.write('\\n')\n\
         \x20 return 'fine'\n\
         }",
    );
    assert_eq!(function.get("/").text(), "fine");
    let out = function.host.stop().stdout;
    let lines: Vec<&str> = out.lines().filter(|line| line.contains('ü')).collect();
    assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 65_536), "{} lines", lines.len());
    assert_eq!(lines.concat(), "ü".repeat(300_000), "no character is torn or lost");
}

#[test]
fn what_is_printed_while_loading_and_at_the_end_is_not_lost() {
    let function = Function::serve(
        "console.log('loading')\nexports.handler = () => { process.stdout.write('last'); return 'fine' }",
    );
    assert_eq!(function.get("/").text(), "fine");
    let finished = function.host.stop();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("loading\n") && finished.stdout.contains("last"), "{}", finished.stdout);
}
