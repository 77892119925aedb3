//! Past its deadline a call is answered 408, and its code is stopped if Python can stop it.

use std::time::{Duration, Instant};

use testkit::Answer;

use crate::support::{Function, at_once};

/// The answer has to be there this much after the deadline of a second at the latest.
const LATEST: Duration = Duration::from_millis(1200);

/// What becomes of a call that takes its time to stop: with workers it would cost its process.
const HERE: (&str, &str) = ("FUNC_ISOLATION", "thread");

// CPython 3.11 and 3.12 forget the `finally` and `except` around a loop that is the first thing in its `try` block when
// an exception comes from outside; so something stands before the loops here.
const SPINS: &str = "
stopped = []
def handler(event, context):
    path = event['extensions']['request'].path
    if path == '/hello':
        return 'hello'
    if path == '/stopped':
        return {'stopped': stopped}
    if path == '/pass':
        while True: pass
    n = 0
    try:
        if path == '/spin':
            while True: n += 1
        if path == '/except':
            while True:
                try:
                    n = 1
                    while True: n += 1
                except Exception: pass
        if path == '/swallow':
            for _ in range(3):
                try:
                    n = 1
                    while True: n += 1
                except BaseException: pass
            while True: n += 1
    finally:
        stopped.append(path)
";

#[test]
fn a_function_that_spins_is_answered_in_time_and_stopped_while_others_go_on() {
    // On a busy machine one try may be late; three in a row are the host's fault.
    let slowest: Vec<Duration> =
        (0..3).map(|_| spin_beside_others()).take_while(|took| *took >= LATEST).collect();
    assert!(slowest.len() < 3, "the slowest answers took {slowest:?}");
}

/// How long the last of the answers to calls that spin has taken.
fn spin_beside_others() -> Duration {
    let function = Function::serve_with(SPINS, &[HERE, ("FUNC_TIMEOUT", "1"), ("FUNC_THREADS", "8")]);
    let paths = ["/pass", "/spin", "/except", "/swallow"];
    let mut hello = Vec::new();
    let slowest = std::thread::scope(|scope| {
        let spinning: Vec<_> = paths.iter().map(|path| scope.spawn(|| function.get(path))).collect();
        while !spinning.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            hello.push(function.get("/hello"));
        }
        let took = paths.iter().zip(spinning).map(|(path, answer)| {
            let answer = answer.join().expect("an answer");
            assert_eq!(answer.status, 408, "{path}");
            answer.took
        });
        took.max().unwrap_or_default()
    });
    assert!(hello.iter().all(|answer| answer.status == 200 && answer.text() == "hello"));
    // Eight threads compete for the interpreter, so each call waits its turn; it still gets there.
    assert!(hello.len() > 5, "only {} calls went through meanwhile", hello.len());

    let all_stopped = |answer: &str| paths[1..].iter().all(|path| answer.contains(path));
    until(&function, "/stopped", |answer| all_stopped(&answer.text()));
    slowest
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
fn an_interruption_strikes_only_the_call_it_was_meant_for() {
    // One thread, and calls that end right at their deadline: an exception that comes late would hit the next.
    let function = Function::serve_with(
        "import time\n\
         def handler(event, context):\n\
         \x20   if event['data'] == b'edge':\n\
         \x20       end = time.monotonic() + 0.1\n\
         \x20       while time.monotonic() < end: pass\n\
         \x20       return 'edge'\n\
         \x20   return str(sum(range(20000)))\n",
        &[("FUNC_TIMEOUT", "0.1"), ("FUNC_THREADS", "1")],
    );
    let mut unharmed = 0;
    for round in 0..30 {
        let edge = function.post("/", "text/plain", "edge");
        assert!([200, 408].contains(&edge.status), "round {round}: {}", edge.status);
        // On a busy machine it may come too late or find the thread still taken; an interruption would be a 500.
        let next = function.get("/");
        match next.status {
            200 => assert_eq!(next.text(), "199990000", "round {round}"),
            status => assert!([408, 503].contains(&status), "round {round}: {status}"),
        }
        unharmed += u32::from(next.status == 200);
    }
    assert!(unharmed >= 10, "only {unharmed} of 30 calls were answered in time");
}

#[test]
fn a_function_blocked_in_c_keeps_only_its_own_thread() {
    let function = Function::serve_with(
        "import time\n\
         def handler(event, context):\n\
         \x20   if event['extensions']['request'].path == '/block': time.sleep(3.5)\n\
         \x20   return 'hello'\n",
        &[HERE, ("FUNC_TIMEOUT", "0.5"), ("FUNC_THREADS", "4"), ("FUNC_STUCK_LIMIT", "2")],
    );
    let blocked = at_once(2, |_| function.get("/block"));
    assert!(blocked.iter().all(|answer| answer.status == 408));
    assert_eq!(function.get("/").text(), "hello");
    // Two stuck calls are as many as this host may have and be ready.
    until(&function, "/readyz", |answer| answer.status == 503);
    until(&function, "/metrics", |answer| answer.text().contains("\nfunchost_calls_stuck 2\n"));
    // They come back by themselves.
    until(&function, "/readyz", |answer| answer.status == 200);
}

#[test]
fn async_functions_are_cancelled_and_spinning_ones_interrupted() {
    let function = Function::serve_with(
        "import asyncio\n\
         log = []\n\
         def await_nothing(): pass\n\
         async def handler(event, context):\n\
         \x20   path = event['extensions']['request'].path\n\
         \x20   if path == '/hello': return 'hello'\n\
         \x20   if path == '/log': return {'log': log}\n\
         \x20   try:\n\
         \x20       if path == '/sleep': await asyncio.sleep(60)\n\
         \x20       if path == '/stubborn':\n\
         \x20           for _ in range(3):\n\
         \x20               try: await asyncio.sleep(60)\n\
         \x20               except asyncio.CancelledError: log.append('refused')\n\
         \x20           await asyncio.sleep(60)\n\
         \x20       if path == '/spin':\n\
         \x20           while True: pass\n\
         \x20   except BaseException as error:\n\
         \x20       log.append(f'{path} {type(error).__name__}')\n\
         \x20       raise\n",
        &[HERE, ("FUNC_TIMEOUT", "1")],
    );
    for answer in at_once(2, |n| function.get_within(LATEST, ["/sleep", "/stubborn"][n])) {
        assert_eq!(answer.status, 408);
    }
    assert_eq!(function.get_within(LATEST, "/spin").status, 408);
    assert_eq!(function.get("/hello").text(), "hello");
    let expected = ["/sleep CancelledError", "refused", "/stubborn CancelledError", "/spin Stopped"];
    until(&function, "/log", |answer| expected.iter().all(|entry| answer.text().contains(entry)));
}

#[test]
fn a_call_that_is_given_up_by_its_client_is_stopped() {
    let mut function = Function::serve(
        "def handler(event, context):\n\
         \x20   if event['extensions']['request'].path == '/': return 'hello'\n\
         \x20   try:\n\
         \x20       print('spinning')\n\
         \x20       while True: [].clear()\n\
         \x20   finally: print('stopped')\n",
    );
    let connection = function.connect().send("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    function.host.wait_for_line("spinning");
    drop(connection);
    function.host.wait_for_line("stopped");
    assert_eq!(function.get("/").text(), "hello");
}
