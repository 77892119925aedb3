//! What healthy calls notice of others that spin until their time is over.
//!
//! `spinners ADDRESS PATH SPINNING-PATH [SECONDS [RATE]]` sends RATE calls a second, evenly, first healthy ones only and
//! then every tenth to the spinning path, and prints the 50th and the 99th percentile of the healthy ones' times.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use testkit::Client;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]
fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, path, spinning, rest @ ..] = &arguments[..] else {
        eprintln!("usage: spinners ADDRESS PATH SPINNING-PATH [SECONDS [RATE]]");
        return;
    };
    let number = |at: usize, default: u32| rest.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, rate) = (number(0, 20), number(1, 40));
    let client = Client::new(address.parse().expect("an address and port"));
    let clean = run(&client, path, None, seconds * rate, rate);
    let mixed = run(&client, path, Some(spinning), seconds * rate, rate);
    for (name, calls) in [("healthy calls alone", &clean), ("with 10 % spinning", &mixed)] {
        let (median, tail) = (percentile(&calls.times, 50), percentile(&calls.times, 99));
        println!("{name:20} p50 {median:8.2} ms, p99 {tail:8.2} ms, {} failed", calls.failed);
    }
    println!("p99 ratio {:.2}", percentile(&mixed.times, 99) / percentile(&clean.times, 99));
}

/// What became of the healthy calls.
struct Calls {
    /// Of those that were answered, shortest first.
    times: Vec<Duration>,
    failed: usize,
}

/// Sends `count` calls.
fn run(client: &Client, path: &str, spinning: Option<&str>, count: u32, rate: u32) -> Calls {
    let start = Instant::now();
    let calls: Vec<_> = (0..count)
        .map(|n| {
            let due = start + Duration::from_secs(1) * n / rate;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                thread::park_timeout(left);
            }
            let spins = spinning.filter(|_| n % 10 == 9);
            let (client, path) = (client.clone(), spins.unwrap_or(path).to_owned());
            let healthy = spins.is_none();
            thread::spawn(move || {
                let answer = client.try_get(&path).ok().filter(|answer| answer.status == 200);
                healthy.then(|| answer.map(|answer| answer.took))
            })
        })
        .collect();
    let answers: Vec<_> = calls.into_iter().filter_map(|call| call.join().ok().flatten()).collect();
    let mut times: Vec<_> = answers.iter().copied().flatten().collect();
    times.sort_unstable();
    Calls { failed: answers.len() - times.len(), times }
}

/// In milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
