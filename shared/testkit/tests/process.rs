//! The host as a process, with the fake engine: its start, its end, its output.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use nix::sys::signal::Signal;
use testkit::{Launch, Mount};

fn host() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_fake-host")).env("MOD_NAME", "fake").env("FUNC_HANDLER", "handler")
}

#[test]
fn all_mistakes_of_the_configuration_come_at_once_with_status_64() {
    let ended = host().env("FUNC_PORT", "http").env("FUNC_TIMEOUT", "0").env("REQ_MB_LIMIT", "lots").run();
    assert_eq!(ended.code, Some(64), "{ended:?}");
    for name in
        ["FUNC_PORT has the value \"http\"", "FUNC_TIMEOUT has the value \"0\"", "REQ_MB_LIMIT has the value"]
    {
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
}

#[test]
fn a_value_that_is_not_text_is_a_mistake_too() {
    use std::os::unix::ffi::OsStrExt;
    let ended = host().env("FUNC_TIMEOUT", std::ffi::OsStr::from_bytes(b"\xff")).run();
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("which is not UTF-8 text"), "{}", ended.stderr);
}

#[test]
fn a_function_that_cannot_be_loaded_ends_the_process_with_its_own_status() {
    for (module, status, message) in [
        ("missing", 65, "there is no module \"missing\""),
        ("broken", 65, "module \"broken\" failed\n  at line 1"),
        ("no-language", 69, "cannot start the language: no library was found"),
        ("panics", 70, "the engine panicked while it loaded the function"),
    ] {
        let mount = Mount::with("termination-log", "");
        let file = mount.path().join("termination-log");
        let ended = host().env("MOD_NAME", module).env("FUNC_TERMINATION_LOG", &file).run();
        assert_eq!(ended.code, Some(status), "{module}: {ended:?}");
        assert!(ended.stderr.contains(&format!("funchost-fake: {message}\n")), "{module}: {}", ended.stderr);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("funchost-fake: {message}\n"));
    }
}

#[test]
fn a_termination_log_that_does_not_exist_is_not_made() {
    let mount = Mount::new();
    let file = mount.path().join("termination-log");
    assert_eq!(host().env("MOD_NAME", "missing").env("FUNC_TERMINATION_LOG", &file).run().code, Some(65));
    assert!(!file.exists());
}

#[test]
fn a_taken_port_ends_the_process_before_the_function_is_loaded() {
    let first = host().start();
    let port = first.address().port().to_string();
    let ended = host().env("FUNC_PORT", &port).env("MOD_NAME", "broken").run();
    assert_eq!(ended.code, Some(71), "{ended:?}");
    assert!(ended.stderr.contains(&format!("cannot listen on 127.0.0.1:{port}: ")), "{}", ended.stderr);
}

#[test]
fn the_binary_tells_about_itself() {
    let described = Launch::new(env!("CARGO_BIN_EXE_fake-host")).arg("--describe").run();
    let description: serde_json::Value = serde_json::from_str(&described.stdout).unwrap();
    assert_eq!((&description["name"], &description["contract"]), (&"funchost-fake".into(), &"1".into()));
    assert_eq!(
        description["capabilities"],
        serde_json::json!(["binary-body", "streaming-reply", "streaming-request"])
    );
    let help = Launch::new(env!("CARGO_BIN_EXE_fake-host")).arg("--help").run();
    assert_eq!(help.code, Some(0));
    for row in contract::env::TABLE.iter().filter(|row| row.scope.includes("fake")) {
        assert!(help.stdout.contains(&format!("\n  {}\n", row.name)), "{} is not in the help", row.name);
    }
    assert!(!help.stdout.contains("FUNC_PYTHON"), "a variable of another language is in the help");
    let wrong = Launch::new(env!("CARGO_BIN_EXE_fake-host")).arg("--serve").run();
    assert_eq!(wrong.code, Some(64));
    assert!(wrong.stderr.contains("argument \"--serve\" is not known; allowed: --help"), "{}", wrong.stderr);
}

#[test]
fn a_probe_asks_the_host_that_has_the_same_variables() {
    let running = host().start();
    let port = running.address().port().to_string();
    let probe = Launch::new(env!("CARGO_BIN_EXE_fake-host")).env("FUNC_PORT", &port).arg("--probe");
    assert_eq!(probe.run().code, Some(0));
    drop(running);
    let ended = probe.run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("127.0.0.1:{port} is not healthy: ")), "{}", ended.stderr);
}

#[test]
fn sigterm_ends_an_idle_host_at_once_with_status_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let host = host().env("SHUTDOWN_TIMEOUT", "3600").start();
        // A kept-alive connection without a request must not hold up the end.
        let client = host.client();
        assert_eq!(client.get("/").status, 200);
        host.signal(signal);
        let before = std::time::Instant::now();
        assert_eq!(host.wait().code, Some(0), "{signal}");
        assert!(before.elapsed().as_secs() < 5, "{signal}: {:?}", before.elapsed());
    }
}

#[test]
fn readiness_fails_during_the_delay_while_calls_are_served() {
    let mut host = host().env("DRAIN_DELAY", "3600").start();
    let client = host.client();
    host.signal(Signal::SIGTERM);
    host.wait_for_line("asked to stop");
    assert_eq!(client.get("/readyz").status, 503);
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/").text(), "hello");
    host.signal(Signal::SIGTERM);
    let ended = host.wait();
    assert_eq!(ended.code, Some(128 + 15), "a second signal ends it at once: {ended:?}");
}

#[test]
fn a_running_call_is_finished_before_the_end() {
    let mut host = host().start();
    let client = host.client();
    let call = thread::spawn(move || client.get("/sleep/500"));
    let metrics = host.client();
    while !metrics.get("/metrics").text().contains("funchost_calls_in_flight 1\n") {}
    host.signal(Signal::SIGTERM);
    host.wait_for_line("asked to stop");
    let answer = call.join().unwrap();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("slept", "close"));
    assert_eq!(host.wait().code, Some(0));
}

#[test]
fn calls_that_do_not_finish_in_time_are_given_up_with_status_75() {
    let host = host().env("SHUTDOWN_TIMEOUT", "0.2").start();
    let client = host.client();
    let call = thread::spawn(move || client.try_get("/hang"));
    let metrics = host.client();
    while !metrics.get("/metrics").text().contains("funchost_calls_in_flight 1\n") {}
    let ended = host.stop();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(ended.stderr.contains("stopped with 1 calls unfinished"), "{}", ended.stderr);
    assert!(call.join().unwrap().is_err());
}

#[test]
fn a_signal_is_heard_whenever_it_comes() {
    // Right after the start, and while the process is stopped, so that no thread is where it usually is.
    for round in 0..20 {
        let mut host = host().spawn();
        host.wait_until_bound();
        if round % 2 == 0 {
            host.signal(Signal::SIGSTOP);
            host.signal(Signal::SIGTERM);
            host.signal(Signal::SIGCONT);
        } else {
            host.signal(Signal::SIGTERM);
        }
        let ended = host.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn connections_that_the_kernel_has_accepted_are_answered() {
    let host = host().start();
    host.signal(Signal::SIGSTOP);
    let client = host.client();
    let mut waiting: Vec<_> =
        (0..200).map(|_| client.connect().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    host.signal(Signal::SIGTERM);
    host.signal(Signal::SIGCONT);
    for (n, connection) in waiting.iter_mut().enumerate() {
        let answer = connection.read_to_end();
        assert!(answer.ends_with("hello"), "connection {n}: {answer:?}");
    }
    assert_eq!(host.wait().code, Some(0));
}

#[test]
fn what_is_no_call_does_not_hold_up_the_end() {
    let host = host().env("SHUTDOWN_TIMEOUT", "3600").start();
    let half = host.client().connect().send("GET / HT");
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    drop(half);
}

/// A log that nobody reads must stop neither requests nor the end of the process.
#[test]
fn a_blocked_log_blocks_nothing() {
    let (_reader, unread) = std::io::pipe().unwrap();
    let host = host().stdout(unread).start();
    let client = host.client();
    for _ in 0..2000 {
        assert_eq!(client.get("/").status, 200);
    }
    let before = std::time::Instant::now();
    assert_eq!(host.stop().code, Some(0));
    assert!(before.elapsed().as_secs() < 5, "{:?}", before.elapsed());
}

/// Clients that never pause, on connections of their own and on kept ones, while the host is told to stop: each
/// request is either answered in full or its connection was never accepted.
#[test]
fn nothing_is_lost_when_a_busy_host_is_told_to_stop() {
    let mut host = host().env("DRAIN_DELAY", "0.3").start();
    let stopped = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (client, stopped, answered) = (host.client(), stopped.clone(), answered.clone());
            thread::spawn(move || {
                loop {
                    match client.try_get("/sleep/5") {
                        Ok(answer) => {
                            assert_eq!(answer.text(), "slept");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "lost: {error}");
                            assert!(
                                stopped.load(Ordering::Acquire),
                                "refused before the host was told to stop"
                            );
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    while answered.load(Ordering::Relaxed) < 50 {
        thread::yield_now();
    }
    stopped.store(true, Ordering::Release);
    host.signal(Signal::SIGTERM);
    host.wait_for_line("asked to stop");
    let before = answered.load(Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > before, "calls are served during the delay");
    let ended = host.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn there_is_one_access_line_per_request_in_apaches_format() {
    let host = host().start();
    let client = host.client();
    client.request(http::Method::POST, "/echo?a=b").header("user-agent", "te\"st").body("four").send();
    client.get("/healthz");
    let ended = host.stop();
    let lines: Vec<_> = ended.stdout.lines().collect();
    let echo = lines.iter().find(|line| line.contains("/echo")).unwrap();
    let (start, rest) = echo.split_once(" - - [").unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(start, "127.0.0.1");
    assert!(time.ends_with(" +0000") && time.len() == 26, "{time}");
    let expected = r#""POST /echo?a=b HTTP/1.1" 200 4 "" "te\x22st" 0."#;
    assert!(rest.starts_with(expected), "{rest}");
    let ids: Vec<_> = rest.rsplit(' ').take(2).map(str::len).collect();
    assert_eq!(ids, [32, 32], "request id and trace id end the line: {rest}");
    assert_eq!(lines.iter().filter(|line| line.contains("GET /healthz HTTP/1.1\" 200 2 ")).count(), 1);
}

#[test]
fn json_lines_carry_the_names_of_the_call() {
    let host = host().env("FUNC_LOG_FORMAT", "json").env("FUNC_LOG_LEVEL", "error").start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let request =
        host.client().request(http::Method::GET, "/fail").header("traceparent", &traceparent).send();
    assert_eq!(request.status, 500);
    let ended = host.stop();
    let parse = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let (access, own) = (parse(&ended.stdout), parse(&ended.stderr));
    let line = access.iter().find(|line| line["path"] == "/fail").unwrap();
    assert_eq!(
        (&line["target"], &line["status"], &line["method"]),
        (&"access".into(), &500.into(), &"GET".into())
    );
    assert_eq!(line["trace_id"], trace);
    let failure = own.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!((&failure["error"], &failure["trace_id"]), (&"FakeError".into(), &trace.into()));
    assert_eq!(failure["stack"], "  at /secret/place:1");
    assert_eq!(failure["request_id"], line["request_id"]);
}

#[test]
fn the_metrics_please_prometheus() {
    let host = host().start();
    let client = host.client();
    client.get("/");
    client.get("/fail");
    let text = client.get("/metrics").text();
    for name in ["process_start_time_seconds", "funchost_build_info{", "funchost_cold_start_seconds 0."] {
        assert!(text.contains(name), "{text}");
    }
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool, which `make setup` installs");
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

/// An answer that does not wait for the rest of a streamed body, to a client that sends it all the same: closing the
/// connection with that unread would reset it, and take the answer along.
#[test]
fn an_answer_that_comes_before_the_end_of_the_body_is_not_lost() {
    let host = host().env("MOD_NAME", "streams").start();
    for _ in 0..20 {
        let head = "POST /read/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let mut connection = host.client().connect().send(head);
        for _ in 0..64 {
            connection = connection.send(format!("2710\r\n{}\r\n", "a".repeat(10_000)));
        }
        let answer = connection.read_to_end();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\n\r\nread "), "{answer:?}");
    }
}
