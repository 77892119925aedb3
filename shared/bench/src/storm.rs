//! What healthy calls notice of others that spin until their deadline.

use std::time::{Duration, Instant};

use tokio::{runtime::Runtime, task::JoinSet, time::interval};

use super::{
    client, metric,
    result::Samples,
    server::{Starter, Target},
    spec::{Contender, Workload},
    stats::percentile,
};

/// One call in so many spins.
const SPINS: usize = 10;

/// How long a healthy call may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures one contender, on all processors.
pub(super) fn measure(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<Samples, String> {
    let mut server = starter.start(contender, workload, false)?;
    server.until_answering(runtime)?;
    let alone = runtime.block_on(run(&server.target, workload, false));
    let storm = runtime.block_on(run(&server.target, workload, true));
    let mut samples = Samples::default();
    samples.add(metric::FAILED, storm.failed as f64);
    samples.add(metric::CALLS, (storm.failed + storm.times.len()) as f64);
    let percentiles = [
        (metric::ALONE_P50, &alone, 50.0),
        (metric::ALONE_P99, &alone, 99.0),
        (metric::STORM_P50, &storm, 50.0),
        (metric::STORM_P99, &storm, 99.0),
    ];
    for (name, calls, percent) in percentiles {
        if let Some(time) = percentile(&calls.times, percent) {
            samples.add(name, time);
        }
    }
    Ok(samples)
}

/// What became of the healthy calls.
#[derive(Default)]
struct Calls {
    /// Of those that were answered, in milliseconds.
    times: Vec<f64>,
    failed: usize,
}

/// Calls at an even rate, each on a connection of its own.
async fn run(target: &Target, workload: &Workload, storm: bool) -> Calls {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls")]
    let count = (workload.seconds * f64::from(workload.rate)) as usize;
    let mut due = interval(Duration::from_secs(1) / workload.rate);
    let (mut healthy, mut spinning) = (JoinSet::new(), JoinSet::new());
    for number in 0..count {
        due.tick().await;
        let target = target.clone();
        if storm && number % SPINS == SPINS - 1 {
            spinning.spawn(async move { drop(client::call_once(&target, "/spin", PATIENCE).await) });
        } else {
            healthy.spawn(async move {
                let since = Instant::now();
                let answer = client::call_once(&target, "/ok", PATIENCE).await.ok()?;
                target.wrong(&answer).is_none().then(|| since.elapsed().as_secs_f64() * 1000.0)
            });
        }
    }
    let mut calls = Calls::default();
    while let Some(time) = healthy.join_next().await {
        match time.ok().flatten() {
            Some(time) => calls.times.push(time),
            None => calls.failed += 1,
        }
    }
    calls
}
