//! The matrix of faults: what user code may do to its worker, in every language, while healthy calls run beside it.
//!
//! Each language brings one function that does what the path says (`runtimes/<language>/tests/faults/`), and a test
//! that names its host; the faults and what is asked of the host are here, the same for all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Client, HostProcess, Launch, process::is_gone};

/// The deadline of all calls, in seconds: what memory ends should not be ended by the clock before.
const TIMEOUT: &str = "4";

/// How many worker processes there are.
const WORKERS: &str = "2";

/// How long full capacity may take to be back. It takes less than a second where nothing else runs; what it took is
/// printed.
const RECOVERY: Duration = Duration::from_secs(10);

/// A call that takes longer than this hangs. Healthy calls share two workers with a call that does its worst.
const HANGS: Duration = Duration::from_secs(10);

/// What a call that does its worst may be answered.
fn answers(fault: &str) -> &'static [u16] {
    match fault {
        "spin" | "block" | "swallow" => &[408],
        "exit" | "abort" | "segfault" => &[500],
        // On a slow machine the time may be over before the memory is.
        "recurse" | "allocate" => &[500, 408],
        // The language's runtime may notice before the host does, or never come back to say so.
        "close" => &[500, 408],
        // Some languages report it and go on.
        "panic" => &[200, 500],
        // It is written as fast as it is taken, which the machine decides.
        "flood" => &[200, 408],
        "outlive" | "sigterm" | "fork" | "chdir" | "umask" => &[200],
        other => panic!("{other} is no fault"),
    }
}

/// One test for each fault, against the host that `$launch` gives.
#[macro_export]
macro_rules! fault_tests {
    ($launch:path) => {
        $crate::fault_tests!(@each $launch: spin block swallow recurse allocate exit abort segfault close panic flood
            outlive sigterm fork chdir umask);

        #[test]
        fn a_worker_killed_from_outside() {
            $crate::faults::kill_a_worker(&$launch());
        }

        #[test]
        fn the_host_killed_from_outside() {
            $crate::faults::kill_the_host(&$launch());
        }

        #[test]
        fn bodies_that_stall() {
            $crate::faults::stall(&$launch());
        }
    };
    (@each $launch:path: $($fault:ident)*) => {
        $(
            #[test]
            fn $fault() {
                $crate::faults::inject(&$launch(), stringify!($fault));
            }
        )*
    };
}

/// Healthy calls, one after the other, until they are asked about.
struct Healthy {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<Vec<(u16, Duration)>>,
    /// One word for each that was answered 200.
    served: Receiver<()>,
}

impl Healthy {
    /// The first of them has been answered.
    fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (serves, served) = mpsc::channel();
        let calls = thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let since = Instant::now();
                let answer = client.try_get("/ok");
                let answer = answer.unwrap_or_else(|error| panic!("a healthy call was cut off: {error}"));
                assert!(answer.status != 200 || answer.text() == "ok", "{}", answer.text());
                seen.push((answer.status, since.elapsed()));
                if answer.status == 200 {
                    let _ = serves.send(());
                }
            }
            seen
        });
        served.recv_timeout(HANGS).expect("healthy calls are answered before any harm is done");
        Self { stop, calls, served }
    }

    /// None hung, none was cut off; and they failed only where they shared a worker that died.
    fn check(self, fault: &str, deaths: usize) {
        let _before: Vec<()> = self.served.try_iter().collect();
        assert!(self.served.recv_timeout(HANGS).is_ok(), "{fault}: no healthy call is answered afterwards");
        self.stop.store(true, Ordering::Relaxed);
        let calls = self.calls.join().expect("healthy calls are answered");
        let slowest = calls.iter().map(|(_, took)| *took).max().unwrap_or_default();
        assert!(slowest < HANGS, "{fault}: a healthy call took {slowest:?}");
        let failed: Vec<u16> =
            calls.iter().map(|(status, _)| *status).filter(|status| *status != 200).collect();
        assert!(failed.iter().all(|status| *status == 500), "{fault}: {failed:?}");
        // One at a time, so each death can cost one, and one more that is handed over before it is known.
        assert!(
            failed.len() <= 2 * deaths,
            "{fault}: {} of {} healthy calls failed",
            failed.len(),
            calls.len()
        );
    }
}

fn start(launch: &Launch) -> (HostProcess, Client) {
    let launch = launch
        .clone()
        .env("FUNC_ISOLATION", "process")
        .env("FUNC_WORKERS", WORKERS)
        .env("FUNC_TIMEOUT", TIMEOUT)
        .env("FUNC_BODY_TIMEOUT", "0.5")
        .env("FUNC_MEMORY_LIMIT", "600Mi");
    let host = launch.start();
    let client = host.client();
    host.until("complete", || is_complete(&client));
    (host, client)
}

/// All workers are there, and at this moment no call runs, not even a healthy one: the one that is counted could be the one that
/// has not stopped.
fn is_complete(client: &Client) -> bool {
    let workers: f64 = WORKERS.parse().unwrap_or_default();
    client.metric("funchost_workers") == workers && client.metric("funchost_calls_in_flight") == 0.0
}

#[expect(clippy::print_stdout, reason = "tests show how long it took: cargo test -- --nocapture")]
fn recover(host: &HostProcess, client: &Client, fault: &str) {
    let took = host.until("complete again", || is_complete(client));
    println!("{fault}: full capacity was back after {} ms", took.as_millis());
    assert!(took < RECOVERY, "{fault}: full capacity was back after {took:?}");
    for _ in 0..4 {
        assert_eq!(client.get("/ok").text(), "ok", "{fault}");
    }
}

/// Injects a fault and sees what it costs.
pub fn inject(launch: &Launch, fault: &str) {
    let (mut host, client) = start(launch);
    let healthy = Healthy::start(client.clone());
    let mut tries = 0;
    loop {
        let answer = client.get(&format!("/{fault}"));
        assert!(answers(fault).contains(&answer.status), "{fault}: {} {}", answer.status, answer.text());
        assert!(answer.took < HANGS, "{fault}: {:?}", answer.took);
        let overdue = matches!(fault, "spin" | "block" | "swallow");
        if overdue {
            host.wait_for_line(&format!("the function did not finish within {TIMEOUT} s"));
        }
        recover(&host, &client, fault);
        tries += 1;
        // Its author learns where it was: a frame of the function's file below the line that says so. The worker is asked for
        // half a second, which it may miss where a machine is busy.
        if !overdue || host.stderr().contains("/function.") {
            break;
        }
        assert!(tries < 3, "{fault}: the log does not say where the function was\n{host:?}");
    }
    healthy.check(fault, tries);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{fault}: {ended:?}");
}

/// Kills a worker with a signal that cannot be caught.
pub fn kill_a_worker(launch: &Launch) {
    let (host, client) = start(launch);
    let healthy = Healthy::start(client.clone());
    for worker in host.children() {
        kill(worker, Signal::SIGKILL).expect("a process to kill");
        host.until("gone", || is_gone(worker));
        recover(&host, &client, "kill -9 of a worker");
    }
    healthy.check("kill -9 of a worker", 2);
    assert_eq!(host.stop().code, Some(0));
}

/// Kills the host with a signal that cannot be caught: nothing of it stays behind.
pub fn kill_the_host(launch: &Launch) {
    let (host, client) = start(launch);
    let workers: Vec<Pid> = host.children();
    assert_eq!(workers.len().to_string(), WORKERS);
    let address = host.address();
    assert_eq!(client.get("/ok").text(), "ok");
    host.signal(Signal::SIGKILL);
    assert_eq!(host.wait().code, None);
    let since = Instant::now();
    while !workers.iter().all(|worker| is_gone(*worker)) {
        assert!(since.elapsed() < RECOVERY, "workers outlive the host: {workers:?}");
        thread::yield_now();
    }
    std::net::TcpListener::bind(address).expect("nobody holds the port");
}

/// A client that stops sending, and one that stops reading.
pub fn stall(launch: &Launch) {
    let (host, client) = start(launch);
    let healthy = Healthy::start(client.clone());
    let half = "POST /ok HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf";
    let answer = client.connect().send(half).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // What it does not read fills what lies between, and then the function waits.
    let mut reader = client.connect().send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = reader.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    host.until("cut off", || is_complete(&client));
    drop(reader);
    recover(&host, &client, "bodies that stall");
    healthy.check("bodies that stall", 0);
    assert_eq!(host.stop().code, Some(0));
}
