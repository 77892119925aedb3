//! Many calls at once.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use http::Method;

use crate::support::{Function, at_once};

#[test]
fn a_hundred_calls_wait_together_on_one_isolate() {
    let function = Function::serve_with(
        "let here = 0, open\n\
         const all = new Promise((resolve) => { open = resolve })\n\
         exports.handler = async (event) => {\n\
         \x20 if (event['event-type'] === 'together') {\n\
         \x20   if (++here === 100) open(here)\n\
         \x20   return all\n\
         \x20 }\n\
         \x20 await new Promise((resolve) => setTimeout(resolve, 100))\n\
         \x20 return 'slept'\n\
         }",
        &[("FUNC_WORKERS", "1")],
    );
    // None of these is answered before all have begun.
    let together =
        at_once(100, |_| function.request(Method::GET, "/").header("event-type", "together").send().text());
    assert!(together.iter().all(|text| text == "100"), "{together:?}");

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
    println!("100 calls of 100 ms on one isolate took {slowest:?}");
    assert!(answers.iter().all(|answer| answer.0 == "slept"));
    // One after the other they would take ten seconds.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn answers_find_their_calls_under_load() {
    for pause in ["", "await null;", "await new Promise((resolve) => setTimeout(resolve, 1));"] {
        let function = Function::serve(&format!(
            "exports.handler = async (event) => {{ {pause} return `${{event.data}} ${{event['event-id']}}` }}"
        ));
        let answers = at_once(16, |thread| {
            (0..200).all(|call| {
                let answer = function
                    .request(Method::POST, "/")
                    .header("event-id", format!("{thread}.{call}"))
                    .body(format!("call {thread}"))
                    .send();
                answer.text() == format!("call {thread} {thread}.{call}")
            })
        });
        assert!(answers.into_iter().all(|right| right), "{pause:?}");
    }
}

#[test]
fn every_isolate_has_a_thread_of_its_own() {
    let function = Function::serve_with(
        "console.log('loaded')\n\
         const cells = new Int32Array(new SharedArrayBuffer(4))\n\
         exports.handler = () => {\n\
         \x20 // Blocks its thread, as a long computation would.\n\
         \x20 Atomics.wait(cells, 0, 0, 400)\n\
         \x20 return 'done'\n\
         }",
        &[("FUNC_WORKERS", "4")],
    );
    // The first one is enough to be ready; the others follow.
    function.host.until("loaded four times", || function.host.stdout().matches("loaded\n").count() == 4);
    let since = Instant::now();
    let answers = at_once(4, |_| function.get("/").text());
    assert!(answers.iter().all(|text| text == "done"), "{answers:?}");
    // Four blocks of 400 ms, one after the other, would take 1.6 s.
    assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
}

#[test]
fn a_module_is_loaded_once_in_every_isolate() {
    let function = Function::serve_with(
        "console.log('loaded')\nexports.handler = () => 'hello'",
        &[("FUNC_WORKERS", "3"), ("FUNC_ACCESS_LOG", "off")],
    );
    // The first one is enough to be ready; the others follow.
    let deadline = Instant::now() + Duration::from_secs(20);
    while function.host.stdout().lines().count() < 3 {
        assert_eq!(function.get("/").text(), "hello");
        assert!(Instant::now() < deadline, "{}", function.host.stdout());
    }
    assert!(at_once(30, |_| function.get("/").text()).iter().all(|text| text == "hello"));
    assert_eq!(function.host.stop().stdout, "loaded\n".repeat(3));
}
