//! Everything at once, for a while: what stays behind adds up.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use http::Method;

use crate::{
    memory::resident,
    support::{Function, at_once},
};

const CODE: &str = "
const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time))
const ways = {
  hello: () => 'hello',
  json: (event) => ({ echo: event.data }),
  wait: async () => { await sleep(20); return 'waited' },
  express: ({ extensions: { request, response } }) => void response.status(201).send(request.query),
  stream: ({ extensions: { response } }) =>
    pipeline(Readable.from((async function* () { for (let i = 0; i < 50; i++) { yield 'x'.repeat(1000); await sleep(1) } })()), response),
  loop: () => { for (;;); },
  never: () => new Promise(() => {}),
  bomb: () => { const all = []; for (;;) all.push({ all }) },
  throws: () => { throw new Error('expected') },
  late: () => { setTimeout(() => { throw new Error('late') }, 5); return 'answered' },
  exit: () => process.exit(1),
}
exports.handler = (event) => ways[event.extensions.request.path.slice(1)](event)
";

#[test]
#[ignore = "takes a minute"]
fn a_minute_of_everything_leaves_nothing_behind() {
    let variables = [
        ("FUNC_TIMEOUT", "1"),
        ("FUNC_WORKERS", "2"),
        ("FUNC_HEAP_LIMIT", "48Mi"),
        ("FUNC_ACCESS_LOG", "off"),
    ];
    let function = Function::serve_with(CODE, &variables);
    let over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let harmless = ["/hello", "/json", "/wait", "/express?a=b", "/stream", "/throws", "/late"];
    let harmful = ["/loop", "/bomb", "/never", "/exit"];
    let mut sizes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            for way in harmful.iter().cycle() {
                let answer = function.get(way);
                assert!([408, 500].contains(&answer.status), "{way}: {}", answer.status);
                if began.elapsed() > Duration::from_secs(60) {
                    break;
                }
            }
            over.store(true, Relaxed);
        });
        for _ in 0..4 {
            scope.spawn(|| {
                for way in harmless.iter().cycle() {
                    if over.load(Relaxed) {
                        break;
                    }
                    // A bomb or an exit takes its neighbours with it; anything else would be a fault.
                    let outcome = function.request(Method::POST, way).body("{}").try_send();
                    let status = outcome.map_or(0, |answer| answer.status);
                    assert!([0, 200, 201, 408, 500].contains(&status), "{way}: {status}");
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
        scope.spawn(|| {
            // A client that leaves before its answer is complete, again and again.
            while !over.load(Relaxed) {
                let connection = function.connect().send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
                let _ = function.try_get("/wait");
                drop(connection);
            }
        });
        while !over.load(Relaxed) {
            sizes.push(resident(&function));
            std::thread::park_timeout(Duration::from_secs(5));
        }
    });
    println!(
        "{} calls, resident {:?} MiB",
        answered.into_inner(),
        sizes.iter().map(|size| size >> 20).collect::<Vec<_>>()
    );
    let half = sizes.len() / 2;
    let (early, late) = (sizes[1..half].iter().max(), sizes[half..].iter().max());
    assert!(late < early.map(|size| size * 3 / 2).as_ref(), "{sizes:?}");
    let deadline = Instant::now() + Duration::from_secs(10);
    let calm = |text: &str| {
        text.contains("\nfunchost_calls_stuck 0\n") && text.contains("\nfunchost_calls_in_flight 0\n")
    };
    while !calm(&function.get("/metrics").text()) {
        assert!(Instant::now() < deadline, "{}", function.get("/metrics").text());
    }
    assert!(at_once(4, |_| function.get("/hello").text()).iter().all(|text| text == "hello"));
    assert_eq!(function.host.stop().code, Some(0));
}
