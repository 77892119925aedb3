//! Exceptions: the client learns nothing, the log everything, and the host goes on.

use crate::support::Function;

const CODE: &str = "
import sys, os, _thread

class Unprintable(Exception):
    def __str__(self): raise RuntimeError('no text')
    __repr__ = __str__

class Exits(Exception):
    def __str__(self): sys.exit('from __str__')

class BadResult(dict):
    def __iter__(self): raise ValueError('no keys')
    items = keys = __len__ = __bool__ = __iter__

class Slow(BaseException): pass

def deep(n): return deep(n + 1)

def chained():
    try: {}['missing']
    except KeyError as error: raise ValueError('first') from error

CASES = {
    '/value': lambda: (_ for _ in ()).throw(ValueError('secret of the house')),
    '/exit': lambda: sys.exit(3),
    '/quit': lambda: (_ for _ in ()).throw(SystemExit),
    '/interrupt': lambda: (_ for _ in ()).throw(KeyboardInterrupt),
    '/thread-exit': lambda: _thread.exit(),
    '/recursion': lambda: deep(0),
    '/memory': lambda: bytearray(1 << 62),
    '/base': lambda: (_ for _ in ()).throw(Slow('base')),
    '/unprintable': lambda: (_ for _ in ()).throw(Unprintable()),
    '/exits': lambda: (_ for _ in ()).throw(Exits()),
    '/bad-result': lambda: BadResult(a=1),
    '/surrogate': lambda: (_ for _ in ()).throw(ValueError('\\ud800')),
    '/generator-exit': lambda: (_ for _ in ()).throw(GeneratorExit),
    '/stop-iteration': lambda: next(iter(())),
    '/chained': chained,
}

def handler(event, context):
    path = event['extensions']['request'].path
    return CASES[path]() if path in CASES else 'fine'
";

const PATHS: &[(&str, &str)] = &[
    ("/value", "ValueError: secret of the house"),
    ("/exit", "SystemExit: 3"),
    ("/quit", "SystemExit"),
    ("/interrupt", "KeyboardInterrupt"),
    ("/thread-exit", "SystemExit"),
    ("/recursion", "RecursionError: maximum recursion depth exceeded"),
    ("/memory", "MemoryError"),
    ("/base", "Slow: base"),
    ("/unprintable", "Unprintable"),
    ("/exits", "Exits"),
    ("/bad-result", "BadResult as JSON: no keys"),
    ("/surrogate", "ValueError"),
    ("/generator-exit", "GeneratorExit"),
    ("/stop-iteration", "StopIteration"),
    ("/chained", "The above exception was the direct cause of the following exception"),
];

#[test]
fn whatever_a_handler_raises_is_one_failed_call() {
    let mut function = Function::serve(CODE);
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
fn the_same_on_the_event_loop() {
    let mut function = Function::serve(&CODE.replace("def handler", "async def handler"));
    for (path, logged) in PATHS {
        let answer = function.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"), "{path}");
        function.host.wait_for_line(logged);
        assert_eq!(function.get("/").text(), "fine", "after {path}");
    }
}

#[test]
fn the_traceback_begins_with_the_function() {
    for kind in ["def", "async def"] {
        let code = format!(
            "{kind} handler(event, context):\n    return helper()\ndef helper():\n    return 1 / 0\n"
        );
        let mut function = Function::serve(&code);
        function.get("/");
        function.host.wait_for_line("ZeroDivisionError: division by zero");
        let log = function.host.stderr();
        let traceback = log.split("Traceback (most recent call last):\n").nth(1).expect("a traceback");
        let first = traceback.lines().next().unwrap_or_default();
        assert!(first.ends_with("function.py\", line 2, in handler"), "{traceback}");
        assert!(traceback.contains("line 4, in helper"), "{traceback}");
        assert!(!log.contains("<funchost>"), "{log}");
    }
}

#[test]
fn failures_in_the_background_are_reported_and_counted() {
    let mut function = Function::serve(
        "import threading\n\
         def handler(event, context):\n\
         \x20   def work(): raise LookupError('in the background')\n\
         \x20   thread = threading.Thread(target=work)\n\
         \x20   thread.start()\n\
         \x20   thread.join()\n\
         \x20   return 'fine'\n",
    );
    assert_eq!(function.get("/").text(), "fine");
    function.host.wait_for_line("outside of a call: in the background");
    function.host.wait_for_line("LookupError: in the background");

    let mut function = Function::serve(
        "import asyncio, gc\n\
         async def work(): raise LookupError('in a task')\n\
         async def handler(event, context):\n\
         \x20   task = asyncio.create_task(work())\n\
         \x20   await asyncio.sleep(0)\n\
         \x20   del task\n\
         \x20   gc.collect()\n\
         \x20   return 'fine'\n",
    );
    assert_eq!(function.get("/").text(), "fine");
    function.host.wait_for_line("outside of a call: in a task");
}
