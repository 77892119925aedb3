//! What a function prints: whole lines, at once, with the call that wrote them.

use serde_json::Value;

use crate::support::{Function, at_once};

#[test]
fn printed_lines_go_to_the_log_whatever_way_they_are_written() {
    let mut function = Function::serve(
        "import logging, os, sys, warnings\n\
         def handler(event, context):\n\
         \x20   print('printed', 1, sep='-')\n\
         \x20   print('half ', end='')\n\
         \x20   print('and half')\n\
         \x20   sys.stdout.write('two\\nlines\\n')\n\
         \x20   sys.stdout.writelines(['written ', 'lines\\n'])\n\
         \x20   sys.stdout.buffer.write(b'by\\xc3\\xbctes\\n')\n\
         \x20   sys.stdout.buffer.write(memoryview(bytearray(b'viewed\\n')))\n\
         \x20   print('to stderr', file=sys.stderr)\n\
         \x20   logging.warning('logged')\n\
         \x20   warnings.warn('warned')\n\
         \x20   print('lone \\ud800 surrogate')\n\
         \x20   print('flushed', flush=True)\n\
         \x20   sys.stdout.reconfigure(line_buffering=True)\n\
         \x20   print(sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.fileno(), sys.stderr.fileno(),\n\
         \x20         sys.stdout.writable(), sys.stdout.closed, sys.stdout.name, sys.stdout.errors)\n\
         \x20   try: sys.stdout.write(b'bytes')\n\
         \x20   except TypeError as error: print(error)\n\
         \x20   try: sys.stdout.buffer.write(5)\n\
         \x20   except TypeError as error: print('TypeError')\n\
         \x20   sys.stdout.close()\n\
         \x20   print('without an end', end='')\n\
         \x20   return 'fine'\n",
    );
    assert_eq!(function.get("/").text(), "fine");
    function.host.wait_for_line("without an end");
    let out = function.host.stdout();
    for line in [
        "printed-1",
        "half and half",
        "two",
        "lines",
        "written lines",
        "byütes",
        "viewed",
        "lone \\ud800 surrogate",
        "flushed",
        "utf-8 False 1 2 True False <stdout> backslashreplace",
        "write() argument must be str, not bytes",
        "TypeError",
        "without an end",
    ] {
        assert!(out.lines().any(|written| written == line), "{line:?} is not in\n{out}");
    }
    for line in ["to stderr", "WARNING:root:logged", "UserWarning: warned"] {
        function.host.wait_for_line(line);
    }
}

#[test]
fn lines_of_parallel_calls_never_tear_and_name_their_call() {
    for kind in ["def", "async def"] {
        let (import, pause) = if kind == "def" {
            ("time", "time.sleep(0.001)")
        } else {
            ("asyncio", "await asyncio.sleep(0.001)")
        };
        let code = format!(
            "import {import}\n\
             {kind} handler(event, context):\n\
             \x20   for line in range(5):\n\
             \x20       for word in range(4):\n\
             \x20           print(event['event-id'], end=' ')\n\
             \x20           {pause}\n\
             \x20       print(line)\n\
             \x20   return 'fine'\n"
        );
        let function =
            Function::serve_with(&code, &[("FUNC_LOG_FORMAT", "json"), ("FUNC_ACCESS_LOG", "off")]);
        at_once(10, |call| {
            let id = format!("call-{call}");
            let request = function.request(http::Method::GET, "/");
            assert_eq!(request.header("event-id", &id).header("x-request-id", &id).send().status, 200);
        });
        let finished = function.host.stop();
        let lines: Vec<Value> = finished
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        assert_eq!(lines.len(), 50, "{kind}\n{}", finished.stdout);
        for line in lines {
            let message = line["message"].as_str().unwrap_or_default();
            let id = line["request_id"].as_str().unwrap_or_default();
            let words: Vec<_> = message.split(' ').collect();
            assert_eq!(words.len(), 5, "{kind}: {line}");
            assert!(words[..4].iter().all(|word| *word == id), "{kind}: {line}");
            assert!(line["trace_id"].is_string(), "{line}");
        }
    }
}

#[test]
fn output_of_helper_threads_is_tagged_when_they_run_in_the_calls_context() {
    let function = Function::serve_with(
        "import asyncio, threading\n\
         async def handler(event, context):\n\
         \x20   await asyncio.to_thread(print, 'in a copied context')\n\
         \x20   await asyncio.create_task(say())\n\
         \x20   thread = threading.Thread(target=print, args=('in no context',))\n\
         \x20   thread.start()\n\
         \x20   thread.join()\n\
         \x20   return 'fine'\n\
         async def say(): print('in a task')\n",
        &[("FUNC_LOG_FORMAT", "json"), ("FUNC_ACCESS_LOG", "off")],
    );
    function.request(http::Method::GET, "/").header("x-request-id", "the-call").send();
    let finished = function.host.stop();
    let id_of = |message: &str| {
        let line = finished.stdout.lines().find(|line| line.contains(message)).expect("the line");
        serde_json::from_str::<Value>(line).expect("JSON")["request_id"].clone()
    };
    assert_eq!(id_of("in a copied context"), "the-call");
    assert_eq!(id_of("in a task"), "the-call");
    assert!(id_of("in no context") == Value::Null || id_of("in no context") == "the-call");
}

#[test]
fn an_endless_line_goes_out_in_pieces() {
    let function = Function::serve(
        "def handler(event, context):\n\
         \x20   for _ in range(300): print('ü' * 1000, end='')\n\
         \x20   print()\n\
         \x20   return 'fine'\n",
    );
    assert_eq!(function.get("/").text(), "fine");
    let out = function.host.stop().stdout;
    let lines: Vec<&str> = out.lines().filter(|line| line.contains('ü')).collect();
    assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 65_536), "{} lines", lines.len());
    assert_eq!(lines.concat(), "ü".repeat(300_000), "no character is torn or lost");
}

#[test]
fn a_forked_child_prints_without_the_host() {
    let function = Function::serve(
        "import os\n\
         def handler(event, context):\n\
         \x20   child = os.fork()\n\
         \x20   if child == 0:\n\
         \x20       print('from the child')\n\
         \x20       os._exit(0)\n\
         \x20   os.waitpid(child, 0)\n\
         \x20   return 'fine'\n",
    );
    assert_eq!(function.get("/").text(), "fine");
    assert!(function.host.stop().stdout.lines().any(|line| line == "from the child"));
}

#[test]
fn what_is_printed_at_the_end_of_the_process_is_not_lost() {
    for kind in ["def", "async def"] {
        let function = Function::serve(&format!(
            "import atexit\n\
             @atexit.register\n\
             def bye(): print('bye', end='')\n\
             print('loaded', end='')\n\
             {kind} handler(event, context): return 'fine'\n"
        ));
        assert_eq!(function.get("/").text(), "fine");
        let finished = function.host.stop();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(finished.stdout.contains("loadedbye\n"), "{kind}: {}", finished.stdout);
    }
}
