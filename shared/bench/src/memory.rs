//! Memory of an idle server, and after many calls.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{
    metric,
    result::Samples,
    server::Starter,
    spec::{Contender, Workload},
    tools::{self, Load},
    tree,
};

/// How long calls are made before they are counted.
const PART: Duration = Duration::from_millis(500);

/// Measures one contender. A slow one makes as many calls as it can within the workload's time.
pub(super) fn measure(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<Samples, String> {
    let mut samples = Samples::default();
    let mut server = starter.start(contender, workload, true)?;
    server.until_answering(runtime)?;
    samples.add(metric::IDLE_MEMORY, tree::memory_mib(server.session()));
    let load = Load { connections: workload.connections, time: PART };
    let (since, mut calls) = (Instant::now(), 0);
    while calls < workload.calls as u64 && since.elapsed() < Duration::from_secs_f64(workload.seconds) {
        calls += tools::throughput(&server.target, load, starter.folder())?.requests;
    }
    server.verify(runtime)?;
    samples.add(metric::USED_MEMORY, tree::memory_mib(server.session()));
    samples.add(metric::CALLS, calls as f64);
    Ok(samples)
}
