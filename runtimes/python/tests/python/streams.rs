//! Bodies that are made while they are sent.

use std::time::Duration;

use crate::support::Function;

/// Yields a piece, then waits for the test to ask for the next one.
fn stepping(kind: &str) -> String {
    let (pass, forward, pause) = match kind {
        "def" => ("import threading\ngo = threading.Semaphore(0)", "go.release()", "go.acquire()"),
        _ => ("import asyncio\ngo = asyncio.Semaphore(0)", "go.release()", "await go.acquire()"),
    };
    format!(
        "{pass}\n\
         {kind} pieces():\n\
         \x20   try:\n\
         \x20       for number in range(3):\n\
         \x20           yield f'piece {{number}}'\n\
         \x20           {pause}\n\
         \x20   finally:\n\
         \x20       print('closed')\n\
         {kind} handler(event, context):\n\
         \x20   if event['extensions']['request'].path == '/go':\n\
         \x20       {forward}\n\
         \x20       return 'gone'\n\
         \x20   return pieces()\n"
    )
}

#[test]
fn every_piece_is_sent_when_it_is_made() {
    for kind in ["def", "async def"] {
        let mut function = Function::serve(&stepping(kind));
        let mut answer = function.request(http::Method::GET, "/").open();
        for number in 0..3 {
            let piece = answer.piece().expect("a piece");
            assert_eq!(String::from_utf8_lossy(&piece), format!("piece {number}"), "{kind}");
            assert_eq!(function.get("/go").text(), "gone");
        }
        assert_eq!(answer.rest().expect("the end"), "", "{kind}");
        function.host.wait_for_line("closed");
    }
}

#[test]
fn a_generator_is_closed_when_its_client_leaves() {
    for kind in ["def", "async def"] {
        let pause = if kind == "def" { "time.sleep(0.01)" } else { "await asyncio.sleep(0.01)" };
        let mut function = Function::serve(&format!(
            "import time, asyncio\n\
             {kind} pieces():\n\
             \x20   try:\n\
             \x20       while True:\n\
             \x20           yield 'x' * 1000\n\
             \x20           {pause}\n\
             \x20   finally:\n\
             \x20       print('closed')\n\
             {kind} handler(event, context):\n\
             \x20   return pieces()\n"
        ));
        let mut connection = function.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.read_until("xxx");
        drop(connection);
        function.host.wait_for_line("closed");
        // Its thread and its place are free again.
        assert_eq!(function.get("/healthz").status, 200);
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_generator_from_running_ahead() {
    for kind in ["def", "async def"] {
        let mut function = Function::serve(&format!(
            "made = 0\n\
             {kind} pieces():\n\
             \x20   global made\n\
             \x20   try:\n\
             \x20       for made in range(100000):\n\
             \x20           yield b'x' * 10000\n\
             \x20   finally:\n\
             \x20       print('made', made, 'pieces')\n\
             {kind} handler(event, context):\n\
             \x20   return pieces()\n"
        ));
        let mut connection = function.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.read_until("xxx");
        // Long enough for a generator that is not held back to make all of a gigabyte.
        function.host.wait_for_quiet(Duration::from_millis(300));
        drop(connection);
        let line = function.host.wait_for_line("pieces");
        let made: u32 = line.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
        assert!(made < 5000, "{kind}: {line}");
    }
}

#[test]
fn an_error_within_a_stream_cuts_it_off() {
    for kind in ["def", "async def"] {
        let code = stepping(kind).replace("for number in range(3):", "for number in ['0', None]:");
        let code = code.replace("{number}'", "' + number");
        let mut function = Function::serve(&code);
        let mut answer = function.request(http::Method::GET, "/").open();
        assert_eq!((answer.status, answer.piece().expect("a piece")), (200, b"piece 0".to_vec()));
        assert_eq!(function.get("/go").text(), "gone");
        assert!(answer.rest().is_err(), "{kind}: a cut stream must not look complete");
        function.host.wait_for_line("TypeError: ");
        function.host.wait_for_line("closed");
    }
}

#[test]
fn an_error_before_the_first_piece_is_an_ordinary_error() {
    for kind in ["def", "async def"] {
        let function = Function::serve(&format!(
            "{kind} pieces():\n\
             \x20   raise LookupError('at once')\n\
             \x20   yield ''\n\
             {kind} handler(event, context):\n\
             \x20   return pieces()\n"
        ));
        assert_eq!(function.get("/").status, 500, "{kind}");
    }
}

#[test]
fn a_stream_ends_at_the_deadline() {
    for kind in ["def", "async def"] {
        let pause = if kind == "def" { "time.sleep(0.05)" } else { "await asyncio.sleep(0.05)" };
        let mut function = Function::serve_with(
            &format!(
                "import time, asyncio\n\
                 {kind} pieces():\n\
                 \x20   try:\n\
                 \x20       while True:\n\
                 \x20           yield 'tick'\n\
                 \x20           {pause}\n\
                 \x20   finally:\n\
                 \x20       print('closed')\n\
                 {kind} handler(event, context):\n\
                 \x20   return pieces()\n"
            ),
            &[("FUNC_TIMEOUT", "0.5")],
        );
        let mut answer = function.request(http::Method::GET, "/").open();
        assert!(answer.rest().is_err(), "{kind}: a cut stream must not look complete");
        assert!(answer.took() < Duration::from_secs(2), "{kind}: {:?}", answer.took());
        function.host.wait_for_line("closed");
    }
}

#[test]
fn one_long_stream_does_not_keep_others_waiting() {
    let function = Function::serve_with(&stepping("def"), &[("FUNC_THREADS", "2")]);
    let mut answer = function.request(http::Method::GET, "/").open();
    assert!(!answer.piece().expect("a piece").is_empty());
    for _ in 0..3 {
        assert_eq!(function.get("/go").text(), "gone");
    }
    answer.rest().expect("the end");
}

#[test]
fn files_are_closed_when_they_have_been_sent() {
    let mut function = Function::serve(
        "import io\n\
         class File(io.BytesIO):\n\
         \x20   def close(self):\n\
         \x20       print('closed')\n\
         \x20       super().close()\n\
         def handler(event, context):\n\
         \x20   return File(b'content')\n",
    );
    assert_eq!(function.get("/").text(), "content");
    function.host.wait_for_line("closed");
}

#[test]
fn an_async_function_may_return_what_blocks_between_its_pieces() {
    let function = Function::serve(
        "import threading\n\
         async def handler(event, context):\n\
         \x20   return (threading.current_thread().name + ' ' for _ in range(2))\n",
    );
    let names = function.get("/").text();
    assert!(!names.contains("MainThread") && names.split_whitespace().count() >= 2, "{names}");
}
