//! The host with worker processes, and the fake engine in them: everything that does not depend on a language.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use http::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{Client, HostProcess, Launch, Mount, process::is_gone};

fn host() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_fake-host"))
        .env("MOD_NAME", "fake")
        .env("FUNC_HANDLER", "handler")
        .env("FUNC_ISOLATION", "process")
        .env("FUNC_WORKERS", "2")
}

/// A host all of whose workers are ready.
fn start(launch: &Launch) -> (HostProcess, Client) {
    let host = launch.start();
    let client = host.client();
    let workers = launch.variables().find(|(name, _)| *name == "FUNC_WORKERS");
    let workers: f64 = workers.and_then(|(_, value)| value.to_str()?.parse().ok()).unwrap_or(2.0);
    host.until("complete", || client.metric("funchost_workers") == workers);
    (host, client)
}

fn pid(client: &Client) -> Pid {
    Pid::from_raw(client.get("/worst/pid").text().parse().expect("a number"))
}

/// Asks in several threads at once.
fn at_once<T: Send>(count: usize, ask: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || ask(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread of the test")).collect()
    })
}

#[test]
fn what_cannot_be_loaded_ends_the_host_as_it_does_without_workers() {
    for (module, status, message) in [
        ("missing", 65, "there is no module \"missing\""),
        ("broken", 65, "module \"broken\" failed\n  at line 1"),
        ("no-language", 69, "cannot start the language: no library was found"),
        ("panics", 70, "the engine panicked while it loaded the function"),
        ("ends", 65, "the worker ended with exit status 7 while it loaded the function\nit ends here"),
    ] {
        let mount = Mount::with("termination-log", "");
        let file = mount.path().join("termination-log");
        let ended = host().env("MOD_NAME", module).env("FUNC_TERMINATION_LOG", &file).run();
        assert_eq!(ended.code, Some(status), "{module}: {ended:?}");
        assert!(ended.stderr.contains(&format!("funchost-fake: {message}\n")), "{module}: {}", ended.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("funchost-fake: {message}\n"));
    }
}

#[test]
fn the_mark_of_a_worker_is_good_for_the_host_only() {
    let ended = Launch::new(env!("CARGO_BIN_EXE_fake-host")).arg("--worker").arg("1").run();
    assert_eq!(ended.code, Some(64));
    assert!(ended.stderr.contains("it is started by the host, and by nobody else"), "{}", ended.stderr);
}

/// Whatever a call brings and gives back, it is the same as without workers.
#[test]
fn calls_and_answers_are_those_of_a_host_without_workers() {
    let launch = host().env("REQ_MB_LIMIT", "8").env("FUNC_ERROR_DETAIL", "on");
    let with = launch.start();
    let without = launch.env("FUNC_ISOLATION", "thread").start();
    let bodies = [0, 1, 5000, 128 * 1024, 128 * 1024 + 1, 5_000_000].map(|size| vec![b'x'; size]);
    let paths = [
        "/",
        "/echo",
        "/fail",
        "/panic",
        "/bad-reply",
        "/bad-data",
        "/headers",
        "/origin",
        "/status/418",
        "/stream/2000",
        "/stream-fail",
        "/stream-panic",
        "/spy?a=%20b",
    ];
    for path in paths {
        for body in &bodies {
            let ask = |client: Client| {
                let call = client.request(Method::PUT, path).header("x-twice", "a").header("x-twice", "b");
                let call = call.header("x-request-id", "same").header("event-id", b"\xe4");
                call.header("host", "same").body(body.clone()).try_send()
            };
            match (ask(with.client()), ask(without.client())) {
                (Ok(one), Ok(other)) => {
                    assert_eq!((one.status, one.body.len()), (other.status, other.body.len()), "{path}");
                    // A trace has a name of its own each time.
                    let lines = |text: String| -> Vec<String> {
                        text.lines().filter(|line| !line.contains("trace")).map(str::to_owned).collect()
                    };
                    assert_eq!(lines(one.text()), lines(other.text()), "{path}");
                    let mut headers = [one.headers, other.headers];
                    headers.iter_mut().for_each(|headers| drop(headers.remove("date")));
                    assert_eq!(headers[0], headers[1], "{path}");
                }
                (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind(), "{path}"),
                (one, other) => panic!("{path}: {one:?} and {other:?}"),
            }
        }
    }
}

#[test]
fn bodies_are_streamed_both_ways_in_lock_step() {
    let host = host().env("MOD_NAME", "streams").start();
    let mut connection = host.client().connect().send(
        "POST /respond/3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    );
    connection = connection.send("1\r\na\r\n");
    connection.read_until("\r\n\r\n");
    for _ in 0..2 {
        connection = connection.send("1\r\na\r\n");
    }
    let rest = connection.send("0\r\n\r\n").read_to_end();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    // A body that never comes to its end is the client's fault, whoever reads it.
    let launch = self::host().env("MOD_NAME", "streams").env("FUNC_BODY_TIMEOUT", "0.2");
    let host = launch.start();
    let stalled =
        host.client().connect().send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    let answer = { stalled }.read_to_end();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("FUNC_BODY_TIMEOUT"), "{answer}");
}

#[test]
fn calls_go_to_the_worker_that_has_fewest() {
    let (_host, client) = start(&host());
    let pids: BTreeSet<Pid> = (0..2).map(|_| pid(&client)).collect();
    assert_eq!(pids.len(), 2, "one at a time they take turns");
    at_once(8, |_| assert_eq!(client.get("/sleep/300").text(), "slept"));
    let text = client.get("/metrics").text();
    assert!(text.contains("\nfunchost_engine_tasks 14\n"), "two engines of seven tasks: {text}");
}

#[test]
fn a_dead_worker_costs_its_own_calls_and_nobody_elses() {
    for (path, last_words) in [
        ("/worst/exit/3", "ended with exit status 3"),
        ("/worst/abort", "was killed by signal 6 (SIGABRT)"),
        ("/worst/fault", "was killed by signal 11 (SIGSEGV)"),
    ] {
        let (mut host, client) = start(&host());
        let healthy = thread::spawn({
            let client = client.clone();
            move || (0..200).map(|_| client.get("/").status).collect::<Vec<_>>()
        });
        let answer = client.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"), "{path}");
        let took = host.until("complete again", || {
            client.metric("funchost_worker_starts_total") == 3.0 && client.metric("funchost_workers") == 2.0
        });
        assert!(took < Duration::from_secs(5), "{took:?}");
        let statuses = healthy.join().unwrap();
        // Those that shared the worker are lost with it, cleanly.
        assert!(statuses.iter().all(|status| [200, 500].contains(status)), "{path}: {statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 500).count() <= 1, "{path}: {statuses:?}");
        host.wait_for_line(&format!("the call was lost: its worker {last_words}"));
        if path == "/worst/abort" {
            assert!(host.stderr().contains("\n  these are\n  its last words\n"), "{host:?}");
        }
        assert_eq!(host.stop().code, Some(0));
    }
}

#[test]
fn a_worker_that_is_killed_from_outside_is_replaced() {
    let (host, client) = start(&host());
    let victim = pid(&client);
    assert!(host.children().contains(&victim));
    kill(victim, Signal::SIGKILL).unwrap();
    host.until("complete again", || {
        client.metric("funchost_worker_exits_total{cause=\"signal\"}") == 1.0
            && client.metric("funchost_workers") == 2.0
    });
    assert_eq!(client.get("/").text(), "hello");
    assert!(is_gone(victim) && !host.children().contains(&victim), "it is reaped");
}

#[test]
fn workers_take_no_notice_of_signals_that_are_meant_for_the_host() {
    let (host, client) = start(&host());
    let workers = host.children();
    for worker in &workers {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            kill(*worker, signal).unwrap();
        }
    }
    at_once(8, |_| assert_eq!(client.get("/sleep/50").text(), "slept"));
    assert_eq!(host.children(), workers);
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn no_worker_outlives_the_host() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let (host, client) = start(&host());
        let mut workers = host.children();
        workers.push(Pid::from_raw(client.get("/worst/child").text().parse().unwrap()));
        assert_eq!(workers.len(), 3);
        let port = host.address();
        host.signal(signal);
        let ended = host.wait();
        assert_eq!(ended.code, (signal == Signal::SIGTERM).then_some(0), "{ended:?}");
        let since = Instant::now();
        // What a worker has started dies with it when the host is there to see to it.
        let mine = if signal == Signal::SIGTERM { &workers[..] } else { &workers[..2] };
        while !mine.iter().all(|pid| is_gone(*pid)) {
            assert!(since.elapsed() < testkit::process::PATIENCE, "{workers:?}");
            thread::yield_now();
        }
        assert!(std::net::TcpListener::bind(port).is_ok(), "nobody holds the port");
        let _ = kill(workers[2], Signal::SIGKILL);
    }
}

/// The ladder: 408 at the deadline, no new calls, a successor, and an end for the worker that leaves others in time.
#[test]
fn a_call_that_does_not_stop_costs_its_worker_and_no_other_call() {
    let (mut host, client) = start(&host().env("FUNC_WORKERS", "1").env("FUNC_TIMEOUT", "3"));
    let old = pid(&client);
    let stuck = client.get("/worst/block/60000");
    assert_eq!(stuck.status, 408);
    assert!(stuck.took < Duration::from_secs(5), "{:?}", stuck.took);
    // It shares the worker until after the grace, and has time of its own.
    let neighbour = client.get("/sleep/1000");
    assert_eq!((neighbour.status, neighbour.text().as_str()), (200, "slept"));
    host.until("replaced", || client.metric("funchost_worker_exits_total{cause=\"killed_stuck\"}") == 1.0);
    assert!(is_gone(old));
    assert_ne!(pid(&client), old);
    assert_eq!(client.metric("funchost_calls_in_flight"), 0.0);
    assert_eq!(client.metric("funchost_calls_stuck"), 0.0);
    host.wait_for_line("the function did not finish within 3 s");
    host.wait_for_line("  in the fake's block, line 60000");
    assert_eq!(host.stop().code, Some(0));
}

/// Until it has to go, a worker may still be able to stop what runs too long; but it may as well hold up whatever else is sent to
/// it.
#[test]
fn calls_go_to_workers_that_stop_what_they_are_told_to() {
    let (mut host, client) = start(&host().env("FUNC_TIMEOUT", "1"));
    assert_eq!(client.get("/worst/block/60000").status, 408);
    host.wait_for_line("  in the fake's block");
    // It has one call, the other worker soon has more.
    let answers = at_once(6, |_| client.get("/worst/pid/100"));
    let line = host.wait_for_line("was killed with");
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert!(!line.contains(&format!("(process {})", answer.text())), "{}: {line}", answer.text());
    }
    assert_eq!(host.stop().code, Some(0));
}

/// The place of a call that is given up goes to the next one, and that must not come to the same worker.
#[test]
fn a_call_that_waits_for_the_place_of_one_that_does_not_stop_gets_another_worker() {
    let (host, client) = start(
        &host()
            .env("FUNC_WORKERS", "1")
            .env("FUNC_CONCURRENCY", "1")
            .env("FUNC_QUEUE", "8")
            .env("FUNC_TIMEOUT", "3"),
    );
    for _ in 0..2 {
        let old = pid(&client);
        assert_eq!(client.get("/worst/block/60000").status, 408);
        assert!(at_once(4, |_| pid(&client)).iter().all(|pid| *pid != old));
    }
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn a_call_that_stops_when_it_is_told_costs_nothing() {
    let (host, client) = start(&host().env("FUNC_TIMEOUT", "0.2"));
    let workers = host.children();
    at_once(4, |_| assert_eq!(client.get("/hang").status, 408));
    host.until("done", || client.metric("funchost_calls_in_flight") == 0.0);
    // One whose client has gone is told as well.
    drop(client.connect().send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n"));
    host.until("done", || client.metric("funchost_calls_in_flight") == 0.0);
    assert_eq!(host.children(), workers);
}

#[test]
fn the_largest_worker_goes_when_there_is_too_little_memory() {
    let (host, client) = start(&host().env("FUNC_MEMORY_LIMIT", "200Mi"));
    let healthy = thread::spawn({
        let client = client.clone();
        move || (0..100).map(|_| client.get("/sleep/5").status).collect::<Vec<_>>()
    });
    assert_eq!(client.get("/worst/grow").status, 500);
    host.until("complete again", || {
        client.metric("funchost_worker_exits_total{cause=\"killed_memory\"}") == 1.0
            && client.metric("funchost_workers") == 2.0
    });
    let statuses = healthy.join().unwrap();
    assert!(statuses.iter().filter(|status| **status != 200).count() <= 1, "{statuses:?}");
}

#[test]
fn processor_time_has_a_limit_of_its_own_and_is_accounted_for() {
    let (mut host, client) = start(&host().env("FUNC_CPU_TIMEOUT", "0.3").env("FUNC_TIMEOUT", "60"));
    let spinning = client.get("/worst/spin");
    assert_eq!(spinning.status, 408);
    assert!(spinning.text().contains("more than 0.3 s of processor time (FUNC_CPU_TIMEOUT)"));
    host.wait_for_line("  in the fake's spin, line 0");
    // Waiting costs none.
    assert_eq!(client.get("/sleep/600").status, 200);
    host.until("replaced", || client.metric("funchost_worker_exits_total{cause=\"killed_stuck\"}") == 1.0);
    assert!(client.metric("funchost_cpu_seconds_total") > 0.0);
    let line = host.wait_for_line("GET /sleep/600");
    let fields: Vec<&str> = line.rsplit(' ').collect();
    let (wall, cpu): (f64, f64) = (fields[3].parse().unwrap(), fields[2].parse().unwrap());
    assert!(wall >= 0.6 && cpu < 0.3, "{line}");
}

#[test]
fn workers_are_replaced_after_their_time_without_anybody_noticing() {
    let limits =
        [("FUNC_WORKER_MAX_CALLS", "50"), ("FUNC_WORKER_MAX_AGE", "1"), ("FUNC_WORKER_MAX_MEMORY", "1")];
    for (variable, value) in limits {
        let (host, client) = start(&host().env(variable, value));
        let first = host.children();
        let mut slowest = Duration::ZERO;
        while client.metric("funchost_worker_exits_total{cause=\"finished\"}") < 2.0 {
            for answer in at_once(4, |_| client.get("/sleep/5")) {
                assert_eq!(answer.status, 200, "{variable}");
                slowest = slowest.max(answer.took);
            }
        }
        assert!(slowest < Duration::from_secs(5), "{variable}: {slowest:?}");
        assert!(first.iter().any(|worker| is_gone(*worker)), "{variable}");
        assert!(!host.stderr().contains("ERROR") && !host.stderr().contains("WARN"), "{host:?}");
        assert_eq!(host.stop().code, Some(0));
    }
}

#[test]
fn a_worker_may_open_as_many_files_as_it_is_allowed() {
    let host = host().env("FUNC_WORKER_FILES", "64").start();
    assert_eq!(host.client().get("/worst/files").text(), "64 64");
}

#[test]
fn readiness_fails_while_no_worker_can_be_started() {
    let mount = Mount::new();
    let launch = host().env("MOD_NAME", "later-broken").env("MOD_ROOT_PATH", mount.path());
    let (mut host, client) = start(&launch);
    let broken = mount.path().join("broken");
    fs::write(&broken, "").unwrap();
    host.children().into_iter().for_each(|worker| kill(worker, Signal::SIGKILL).unwrap());
    host.until("not ready", || client.get("/readyz").status == 503);
    host.wait_for_line("a worker did not start; trying again in 0.1 s: module \"later-broken\" failed");
    // A call waits for a worker, as it would for a place.
    let waiting = thread::spawn({
        let client = client.clone();
        move || client.get("/")
    });
    host.wait_for_line("trying again in 0.2 s");
    fs::remove_file(broken).unwrap();
    assert_eq!(waiting.join().unwrap().text(), "hello");
    host.until("ready", || client.get("/readyz").status == 200);
}

#[test]
fn workers_that_die_for_nothing_are_started_more_and_more_slowly() {
    let mount = Mount::new();
    let launch = host().env("MOD_NAME", "soon-dead").env("MOD_ROOT_PATH", mount.path());
    let (mut host, client) = start(&launch);
    let dying = mount.path().join("dying");
    fs::write(&dying, "").unwrap();
    host.children().into_iter().for_each(|worker| kill(worker, Signal::SIGKILL).unwrap());
    for pause in ["0.1", "0.2", "0.4"] {
        host.wait_for_line(&format!("ended before its first call; another one starts in {pause} s"));
    }
    fs::remove_file(dying).unwrap();
    host.until("served again", || client.get("/").status == 200);
}

#[test]
fn a_flood_of_output_is_cut_and_counted_and_holds_up_nobody() {
    let (mut host, client) = start(&host());
    let since = Instant::now();
    assert_eq!(client.get("/worst/print/100").status, 200);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    host.until("counted", || client.metric("funchost_log_lines_dropped_total") > 1000.0);
    assert_eq!(client.get("/worst/abort").status, 500);
    // What comes after the flood arrives.
    host.wait_for_line("its last words");
    assert!(host.stdout().len() < 32 << 20, "{}", host.stdout().len());
}

#[test]
fn a_drain_finishes_what_runs_in_workers_and_gives_up_what_does_not_end() {
    let (host, client) = start(&host());
    let call = thread::spawn({
        let client = client.clone();
        move || client.get("/sleep/500")
    });
    host.until("running", || client.metric("funchost_calls_in_flight") == 1.0);
    host.signal(Signal::SIGTERM);
    assert_eq!(call.join().unwrap().text(), "slept");
    assert_eq!(host.wait().code, Some(0));

    let (host, client) = start(&self::host().env("SHUTDOWN_TIMEOUT", "0.2"));
    let workers = host.children();
    let mut streaming = client.request(Method::GET, "/stream-hang").open();
    assert_eq!(streaming.piece().unwrap(), b"first\n");
    let ended = host.stop();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(workers.iter().all(|worker| is_gone(*worker)));
}
