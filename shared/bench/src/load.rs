//! Requests per second, processor time and memory under load, and latencies at a fixed rate. Contenders take turns.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::{
    metric,
    result::Samples,
    server::{Server, Starter},
    spec::{Contender, Workload},
    tools::{self, Load},
    tree,
};

/// How many times fewer answers than the rate asks for mean that a server did not keep up with it.
const KEEPS_UP: f64 = 0.95;

/// How long a server is under load before it is measured.
const WARM_UP: Duration = Duration::from_millis(400);

/// Measures all of them; a contender that fails has an error instead of samples.
pub(super) fn measure<'c>(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contenders: &[&'c Contender],
    workload: &Workload,
) -> Vec<(&'c Contender, Result<Samples, String>)> {
    let mut turns: Vec<Turn<'c>> =
        contenders.iter().map(|contender| Turn::start(starter, runtime, contender, workload)).collect();
    for round in 0..workload.rounds {
        for turn in &mut turns {
            let load = turn.load;
            turn.take(|server, samples| throughput(starter, server, load, workload, samples));
            turn.take(|server, _| server.verify(runtime));
            if round < workload.latency_rounds {
                turn.take(|server, samples| latencies(starter, server, load, workload, samples));
                turn.take(|server, _| server.verify(runtime));
            }
        }
    }
    turns.into_iter().map(|turn| (turn.contender, turn.state.map(|(_, samples)| samples))).collect()
}

/// A contender between its turns.
struct Turn<'c> {
    contender: &'c Contender,
    load: Load,
    state: Result<(Server, Samples), String>,
}

impl<'c> Turn<'c> {
    fn start(
        starter: &mut Starter<'_>,
        runtime: &Runtime,
        contender: &'c Contender,
        workload: &Workload,
    ) -> Self {
        let load = load(contender, workload);
        let state = starter.start(contender, workload, true).and_then(|mut server| {
            server.until_answering(runtime)?;
            // What a server does only once is not what is measured.
            tools::throughput(&server.target, Load { time: WARM_UP, ..load }, starter.folder())?;
            server.verify(runtime)?;
            Ok((server, Samples::default()))
        });
        Self { contender, load, state }
    }

    fn take(&mut self, measure: impl FnOnce(&Server, &mut Samples) -> Result<(), String>) {
        if let Ok((server, samples)) = &mut self.state
            && let Err(error) = measure(server, samples)
        {
            self.state = Err(error);
        }
    }
}

fn load(contender: &Contender, workload: &Workload) -> Load {
    let connections = workload.connections.min(contender.connections.unwrap_or(usize::MAX));
    Load { connections, time: Duration::from_secs_f64(workload.seconds.max(contender.seconds)) }
}

fn throughput(
    starter: &Starter<'_>,
    server: &Server,
    load: Load,
    workload: &Workload,
    samples: &mut Samples,
) -> Result<(), String> {
    let before = tree::cpu_seconds(server.session());
    let memory = tree::Watch::start(server.session());
    let counted = tools::throughput(&server.target, load, starter.folder())?;
    let peak = memory.peak_rss_mib();
    let cpu = tree::cpu_seconds(server.session()) - before;
    if counted.requests == 0 {
        return Err("no request was answered".to_owned());
    }
    samples.add(metric::RATE, counted.per_second());
    samples.add(metric::CPU, cpu / counted.requests as f64 * 1000.0);
    samples.add(metric::PEAK_RSS, peak);
    samples.add(metric::ERRORS, counted.errors(workload.expect.status) as f64);
    Ok(())
}

fn latencies(
    starter: &Starter<'_>,
    server: &Server,
    load: Load,
    workload: &Workload,
    samples: &mut Samples,
) -> Result<(), String> {
    let oha = starter.tools.join("bin/oha");
    let load = Load { time: Duration::from_secs_f64(workload.latency_seconds), ..load };
    let measured = tools::latencies(&server.target, load, workload.rate, &oha, starter.folder())?;
    let kept_up = measured.answers as f64 / (f64::from(workload.rate) * workload.latency_seconds);
    samples.add(metric::KEPT_UP, kept_up);
    samples.add(metric::ERRORS, measured.errors as f64);
    // Of a server that did not keep up, latencies say how long was measured and nothing else.
    if kept_up >= KEEPS_UP {
        let names = [metric::P50, metric::P90, metric::P99, metric::P999];
        for (name, latency) in names.into_iter().zip(measured.percentiles) {
            samples.add(name, latency);
        }
    }
    Ok(())
}
