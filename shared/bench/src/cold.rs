//! From the start of a process to its first answer. Contenders take turns.

use tokio::runtime::Runtime;

use super::{
    metric,
    result::Samples,
    server::Starter,
    spec::{Contender, Workload},
};

/// Measures all of them.
pub(super) fn measure<'c>(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contenders: &[&'c Contender],
    workload: &Workload,
) -> Vec<(&'c Contender, Result<Samples, String>)> {
    let mut results: Vec<_> =
        contenders.iter().map(|contender| (*contender, Ok(Samples::default()))).collect();
    // The first start of all finds nothing in the system's cache, and is not counted.
    for round in 0..=workload.rounds {
        for (contender, result) in &mut results {
            let Ok(samples) = result else { continue };
            match once(starter, runtime, contender, workload) {
                Ok(took) if round > 0 => samples.add(metric::COLD_START, took),
                Ok(_) => {}
                Err(error) => *result = Err(error),
            }
        }
    }
    results
}

/// In milliseconds.
fn once(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<f64, String> {
    let mut server = starter.start(contender, workload, true)?;
    let took = if contender.ends { server.until_ended()? } else { server.until_answering(runtime)? };
    Ok(took.as_secs_f64() * 1000.0)
}
