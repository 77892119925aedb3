//! What is lost when a loaded server is told to end.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use http::header;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    runtime::Runtime,
    task::{self, LocalSet},
    time::{sleep, timeout},
};

use super::{
    client::{Connection, Unanswered},
    metric,
    result::Samples,
    server::{Server, Starter, Target},
    spec::{Contender, Workload},
};

/// How long a server may take to end, and a call to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the process is looked at.
const POLL: Duration = Duration::from_millis(1);

/// Measures one contender.
pub(super) fn measure(
    starter: &mut Starter<'_>,
    runtime: &Runtime,
    contender: &Contender,
    workload: &Workload,
) -> Result<Samples, String> {
    let mut samples = Samples::default();
    for _ in 0..workload.rounds {
        let mut server = starter.start(contender, workload, true)?;
        server.until_answering(runtime)?;
        let (count, end) = LocalSet::new().block_on(runtime, round(&mut server, workload));
        samples.add(metric::LOST, count.lost.get() as f64);
        samples.add(metric::ANSWERED_LATE, count.answered_late.get() as f64);
        samples.add(metric::ERRORS, count.wrong.get() as f64);
        if let Some(end) = end {
            samples.add(metric::END, end.as_secs_f64() * 1000.0);
        }
    }
    Ok(samples)
}

/// What became of calls.
#[derive(Debug, Default)]
struct Count {
    told: Cell<bool>,
    lost: Cell<u32>,
    answered_late: Cell<u32>,
    wrong: Cell<u32>,
}

fn more(number: &Cell<u32>) {
    number.set(number.get() + 1);
}

/// Loads the server, tells it to end, and goes on until it does; how long that took, unless it does not end.
async fn round(server: &mut Server, workload: &Workload) -> (Rc<Count>, Option<Duration>) {
    let count = Rc::new(Count::default());
    let clients: Vec<_> = (0..workload.connections)
        .map(|_| task::spawn_local(call_on(server.target.clone(), count.clone())))
        .collect();
    sleep(Duration::from_secs_f64(workload.seconds)).await;
    count.told.set(true);
    let told = Instant::now();
    let _ = kill(Pid::from_raw(server.session()), Signal::SIGTERM);
    let ended = async {
        while server.ended().is_none() {
            sleep(POLL).await;
        }
        told.elapsed()
    };
    let end = timeout(PATIENCE, ended).await.ok();
    for client in clients {
        // One that still has answers, of a server that does not end.
        let _ = timeout(PATIENCE.saturating_sub(told.elapsed()).max(POLL), client).await;
    }
    (count, end)
}

/// Calls one after another, on a new connection where the server has closed the last, until there is none any more.
async fn call_on(target: Target, count: Rc<Count>) {
    while let Ok(mut connection) = Connection::open(target.address).await {
        loop {
            match timeout(PATIENCE, connection.call(target.request(&target.path))).await {
                Ok(Ok(answer)) => {
                    if count.told.get() {
                        more(&count.answered_late);
                    }
                    // A server that ends may refuse calls, in so many words.
                    if target.wrong(&answer).is_some() {
                        more(&count.wrong);
                    }
                    if answer.headers.get(header::CONNECTION).is_some_and(|value| value == "close") {
                        break;
                    }
                }
                Ok(Err(Unanswered::NotSent)) => break,
                Ok(Err(Unanswered::Lost(_))) | Err(_) => {
                    more(&count.lost);
                    break;
                }
            }
        }
    }
}
