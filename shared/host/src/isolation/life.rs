//! The life of one worker, from its start to the report of its end.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use contract::{LoadError, OutputStream};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    errors::Refusal,
    fate::Fate,
    frame::{Fields, Frame, Kind, Malformed},
    link::{self, Link},
    member::Member,
    output::{Flood, Tail, relay},
    pool::{About, Pool, lock},
    process::{Exited, Started},
    words::read_gauges,
};
use crate::metrics::WorkerEnd;

/// How long the last words and replies of a worker that has died may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a process may go on without its link before it is killed.
const UNLINKED: Duration = Duration::from_millis(50);

/// A worker that is ready, and word of its end.
pub(super) struct Life {
    pub(super) member: Arc<Member>,
    pub(super) over: JoinHandle<()>,
}

/// A worker that nobody may wait for any more before it is ready.
struct Unwanted(Option<Arc<Member>>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        if let Some(member) = &self.0 {
            member.kill(Fate::Late);
        }
    }
}

/// Where the news that a worker has loaded the function is waited for, until it has come.
type Ready = Mutex<Option<oneshot::Sender<Result<About, Refusal>>>>;

impl Pool {
    /// Starts a worker and waits until it has loaded the function.
    pub(super) async fn start_member(self: &Arc<Self>) -> Result<Life, Refusal> {
        let before = Instant::now();
        let started = self.processes.start().await;
        let started = started.map_err(|error| {
            Refusal::Load(LoadError::Runtime(format!("no worker could be started: {error}")))
        })?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(Link::default());
        let member = Arc::new(Member::new(number, started.process.clone(), link, self.room.clone()));
        self.lives(&member);
        let mut unwanted = Unwanted(Some(member.clone()));
        let (ready, loaded) = oneshot::channel();
        let over = tokio::spawn(self.clone().live(member.clone(), started, ready));
        let about = match loaded.await {
            Ok(loaded) => loaded?,
            Err(_) => return Err(Refusal::Panicked),
        };
        let pid = member.process.pid;
        tracing::info!("worker {number} (process {pid}) is ready after {} ms", before.elapsed().as_millis());
        self.metrics.worker_starts.inc();
        self.describe(about);
        unwanted.0 = None;
        Ok(Life { member, over })
    }

    /// The life of a worker from its first byte to its last.
    async fn live(
        self: Arc<Self>,
        member: Arc<Member>,
        started: Started,
        ready: oneshot::Sender<Result<About, Refusal>>,
    ) {
        let tail = Tail::default();
        let dropped = || self.metrics.worker_lines_dropped.clone();
        let number = member.number;
        let out = relay(started.stdout, OutputStream::Stdout, number, Tail::default(), dropped());
        let err = relay(started.stderr, OutputStream::Stderr, number, tail.clone(), dropped());
        let (mut out, mut err) = (tokio::spawn(out), tokio::spawn(err));
        let socket = started.link.set_nonblocking(true);
        let ready = Arc::new(Mutex::new(Some(ready)));
        let mut linked = tokio::spawn({
            let (pool, member, ready) = (self.clone(), member.clone(), ready.clone());
            async move {
                socket?;
                let socket = tokio::net::UnixStream::from_std(started.link)?;
                let mut flood = Flood::new(Instant::now());
                let take = |frame| pool.take(&member, &ready, &mut flood, frame);
                link::run(member.link.clone(), socket, take).await
            }
        });
        let mut alive = true;
        tokio::select! {
            _ = &mut linked => alive = false,
            _ = member.process.exited() => {}
        }
        self.dismiss(&member);
        if !alive && tokio::time::timeout(UNLINKED, member.process.exited()).await.is_err() {
            member.kill(Fate::Unlinked);
        }
        let exited = member.process.exited().await;
        // What it has sent and said before its end is on its way.
        let last_words = async {
            if alive {
                let _ = (&mut linked).await;
            }
            let _ = (&mut out).await;
            let _ = (&mut err).await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        self.ended(&member);
        self.report(&member, exited, &tail, lock(&ready).take());
    }

    /// A worker has ended: tells those who wait for it, and the log.
    fn report(
        &self,
        member: &Member,
        exited: Exited,
        tail: &Tail,
        ready: Option<oneshot::Sender<Result<About, Refusal>>>,
    ) {
        let (number, pid) = (member.number, member.process.pid);
        let last_words = tail.text();
        if let Some(ready) = ready {
            self.metrics.worker_ended(WorkerEnd::Start);
            let message = format!("the worker {exited} while it loaded the function");
            let _ = ready.send(Err(Refusal::Load(LoadError::Failed { message, stack: last_words })));
            return;
        }
        let lost = member.running();
        let end = match member.fate() {
            Some(fate) => fate.end(),
            None if matches!(exited, Exited::Code(_)) => WorkerEnd::Exit,
            None => WorkerEnd::Signal,
        };
        self.metrics.worker_ended(end);
        let why = match member.fate() {
            Some(Fate::Finished | Fate::Refused) => {
                tracing::debug!("worker {number} (process {pid}) has ended as it should");
                format!("its worker {exited}")
            }
            Some(fate) => {
                let why = fate.meaning();
                tracing::warn!("worker {number} (process {pid}) was killed with {lost} calls: {why}");
                format!("its worker was killed: {why}")
            }
            None => {
                let stack = &last_words;
                tracing::error!(stack, "worker {number} (process {pid}) {exited}, with {lost} calls");
                format!("its worker {exited}\n{last_words}").trim_end().to_owned()
            }
        };
        member.lose(&why);
    }

    /// A worker says something.
    fn take(
        &self,
        member: &Member,
        ready: &Ready,
        flood: &mut Flood,
        mut frame: Frame,
    ) -> Result<(), Malformed> {
        let payload = &mut frame.payload;
        match frame.kind {
            Kind::Lines => {
                let stream = if payload.u8()? == 0 { OutputStream::Stdout } else { OutputStream::Stderr };
                let lines = payload.rest();
                if flood.admits(lines.len(), Instant::now()) {
                    self.log.relay(stream, &lines);
                } else {
                    let lost = lines.iter().filter(|byte| **byte == b'\n').count();
                    self.metrics.worker_lines_dropped.inc_by(lost as u64);
                }
            }
            Kind::Gauges => member.told_gauges(read_gauges(payload)?),
            Kind::Stray => self.metrics.stray_failures.inc(),
            Kind::Loaded | Kind::Refused => {
                let loaded = match frame.kind {
                    Kind::Loaded => Ok(read_about(payload)?),
                    _ => {
                        member.expect(Fate::Refused);
                        Err(Refusal::read(payload)?)
                    }
                };
                let ready = lock(ready).take().ok_or(Malformed)?;
                let _ = ready.send(loaded);
            }
            _ => return member.take(frame),
        }
        Ok(())
    }
}

fn read_about(payload: &mut Fields) -> Result<About, Malformed> {
    let capacity = usize::try_from(payload.u64()?).map_err(|_| Malformed)?;
    Ok(About { capacity, streams_requests: payload.u8()? != 0, runtime: payload.text()? })
}
