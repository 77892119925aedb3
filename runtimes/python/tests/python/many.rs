//! Many calls at once.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::Mount;

use crate::support::{Function, at_once, program};

#[test]
fn a_hundred_async_calls_wait_together() {
    let function = Function::serve(
        "import asyncio\n\
         async def handler(event, context):\n\
         \x20   await asyncio.sleep(0.1)\n\
         \x20   return 'slept'\n",
    );
    let barrier = Barrier::new(100);
    let answers = at_once(100, |_| {
        let connection = function.clone();
        // Connected before the clock starts, as a busy client is.
        assert_eq!(connection.get("/healthz").status, 200);
        barrier.wait();
        let since = Instant::now();
        let answer = connection.get("/");
        (answer.text(), since.elapsed())
    });
    let slowest = answers.iter().map(|answer| answer.1).max().unwrap_or_default();
    assert!(answers.iter().all(|answer| answer.0 == "slept"));
    // One after the other they would take ten seconds.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn blocking_calls_run_side_by_side_up_to_the_number_of_threads() {
    let function = Function::serve_with(
        "import threading, time\n\
         lock, now, most = threading.Lock(), 0, 0\n\
         def handler(event, context):\n\
         \x20   global now, most\n\
         \x20   with lock:\n\
         \x20       now += 1\n\
         \x20       most = max(most, now)\n\
         \x20   time.sleep(0.2)\n\
         \x20   with lock: now -= 1\n\
         \x20   return str(most)\n",
        &[("FUNC_THREADS", "10")],
    );
    let since = Instant::now();
    let answers = at_once(20, |_| function.get("/").text());
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    let most = answers.iter().filter_map(|text| text.parse::<u32>().ok()).max();
    assert_eq!(most, Some(10), "{answers:?}");
}

#[test]
fn answers_find_their_calls_under_load() {
    for kind in ["def", "async def"] {
        let function = Function::serve(&format!(
            "{kind} handler(event, context):\n    return event['data'] + event['event-id'].encode()\n"
        ));
        let answers = at_once(16, |thread| {
            (0..200).all(|call| {
                let answer = function
                    .request(http::Method::POST, "/")
                    .header("event-id", format!("{thread}.{call}"))
                    .body(format!("call {thread} "))
                    .send();
                answer.text() == format!("call {thread} {thread}.{call}")
            })
        });
        assert!(answers.into_iter().all(|right| right), "{kind}");
    }
}

#[test]
fn a_plain_function_may_return_something_to_be_awaited() {
    let function = Function::serve(
        "import asyncio, functools\n\
         async def work(n):\n\
         \x20   await asyncio.sleep(0.01)\n\
         \x20   return {'n': n}\n\
         async def pieces():\n\
         \x20   for piece in 'abc':\n\
         \x20       await asyncio.sleep(0)\n\
         \x20       yield piece\n\
         class Awaitable:\n\
         \x20   def __await__(self): return work(3).__await__()\n\
         def handler(event, context):\n\
         \x20   return {'/1': lambda: work(1), '/3': Awaitable, '/pieces': pieces}[event['extensions']['request'].path]()\n",
    );
    assert_eq!(function.get("/1").json(), json!({"n": 1}));
    assert_eq!(function.get("/3").json(), json!({"n": 3}));
    assert_eq!(function.get("/pieces").text(), "abc");
}

#[test]
fn async_functions_are_recognised_in_every_shape() {
    const PREAMBLE: &str = "import asyncio, functools, threading\n\
        async def real(event, context, **more):\n\
        \x20   await asyncio.sleep(0)\n\
        \x20   return threading.current_thread().name + ' ' + str(bool(asyncio.current_task()))\n";
    let shapes = [
        "handler = real",
        "handler = functools.partial(real, more=1)",
        "class C:\n    async def __call__(self, event, context): return await real(event, context)\nhandler = C()",
        "class C:\n    async def m(self, event, context): return await real(event, context)\nhandler = C().m",
        "class C:\n    @staticmethod\n    async def m(event, context): return await real(event, context)\nhandler = C.m",
        "def handler(event, context): return real(event, context)",
    ];
    for shape in shapes {
        let function = Function::serve(&format!("{PREAMBLE}{shape}\n"));
        assert_eq!(function.get("/").text(), "MainThread True", "{shape}");
    }
}

#[test]
fn uvloop_is_used_where_it_is_installed() {
    let mount = Mount::with(
        "function.py",
        "import asyncio\nasync def handler(event, context): return type(asyncio.get_running_loop()).__name__\n",
    )
    .file(
        "uvloop.py",
        "import asyncio\n\
         class Loop(asyncio.SelectorEventLoop): pass\n\
         def new_event_loop(): return Loop()\n",
    );
    // In front of one that may be installed.
    let path = mount.path().to_str().expect("a path in UTF-8").to_owned();
    let function = Function::serve_mount(mount, &[("PYTHONPATH", &path)]);
    assert_eq!(function.get("/").text(), "Loop");
}

#[test]
fn async_functions_may_run_processes() {
    let function = Function::serve(
        "import asyncio\n\
         async def handler(event, context):\n\
         \x20   pipe = asyncio.subprocess.PIPE\n\
         \x20   child = await asyncio.create_subprocess_exec('cat', stdin=pipe, stdout=pipe)\n\
         \x20   out, _ = await child.communicate(event['data'])\n\
         \x20   return [out.decode(), child.returncode]\n",
    );
    assert_eq!(function.post("/", "text/plain", "through a child").json(), json!(["through a child", 0]));
}

#[test]
fn a_module_that_takes_long_to_load_delays_readiness_and_not_the_calls() {
    let mount = Mount::with(
        "function.py",
        "import time\ntime.sleep(1.2)\ndef handler(event, context): return 'quick'\n",
    );
    let mut host = program().function(mount.path(), "function", "handler").env("FUNC_TIMEOUT", "1").spawn();
    host.wait_until_bound();
    let client = host.client();
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/readyz").status, 503);
    host.wait_for_line("ready: function.handler");
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "quick"));
}
