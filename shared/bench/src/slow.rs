//! Calls beside clients that are idle, and ones that have sent half a head.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, runtime::Runtime, time::timeout};

use super::{
    client, metric,
    result::Samples,
    server::{Starter, Target},
    spec::{Contender, Workload},
    stats::percentile,
};

/// How long a connection may take, and a call to be answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// After so many calls without an answer, the others would have none either.
const ENOUGH: usize = 5;

/// Measures one contender.
pub(super) fn measure(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<Samples, String> {
    let mut server = starter.start(contender, workload, true)?;
    server.until_answering(runtime)?;
    Ok(runtime.block_on(run(&server.target, workload)))
}

async fn run(target: &Target, workload: &Workload) -> Samples {
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\nX-Half", target.path, target.address);
    let mut held = Vec::new();
    for number in 0..workload.idle + workload.partial {
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(target.address)).await else { break };
        if number >= workload.idle && stream.write_all(head.as_bytes()).await.is_err() {
            break;
        }
        held.push(stream);
    }
    let mut times = Vec::new();
    let mut unanswered = 0;
    for _ in 0..workload.calls {
        let since = Instant::now();
        match client::call_once(target, &target.path, PATIENCE).await {
            Ok(answer) if target.wrong(&answer).is_none() => {
                times.push(since.elapsed().as_secs_f64() * 1000.0);
            }
            _ => unanswered += 1,
        }
        if unanswered == ENOUGH {
            break;
        }
    }
    let mut samples = Samples::default();
    samples.add(metric::CALLS, workload.calls as f64);
    samples.add(metric::ANSWERED, times.len() as f64);
    for (name, percent) in [(metric::P50, 50.0), (metric::P90, 90.0), (metric::P99, 99.0)] {
        if let Some(time) = percentile(&times, percent) {
            samples.add(name, time);
        }
    }
    samples
}
