//! The workers together: started, chosen among, replaced.

use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use contract::{Gauges, HandlerError, Invocation, LoadError};
use futures_core::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use super::{
    errors::Refusal,
    fate::{Fate, Leave, Prospect},
    life::Life,
    limits::Limits,
    member::{Handed, Member},
    process::Processes,
    room::Room,
};
use crate::{
    language::{AnyEngine, Invoke},
    log::Log,
    metrics::Metrics,
};

/// How long a worker may take to come to an end that it was asked for: its engine may run what user code has registered
/// for the end.
const FINISHING: Duration = Duration::from_secs(3);

/// How long the engines may take to say how they do.
const GAUGES: Duration = Duration::from_millis(200);

/// The first pause after a worker that died at its start, or before its first call; each one after that is twice as
/// long, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a worker says of itself when it is ready.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) capacity: usize,
    pub(super) streams_requests: bool,
    pub(super) runtime: String,
}

/// The workers.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) processes: Processes,
    /// Those that get calls.
    serving: Mutex<Vec<Arc<Member>>>,
    /// All that have not ended.
    living: Mutex<Vec<Arc<Member>>>,
    pub(super) room: Arc<Room>,
    about: OnceLock<About>,
    size: usize,
    pub(super) limits: Limits,
    pub(super) numbers: AtomicU64,
    /// At most one worker is replaced at a time without need.
    renewing: Semaphore,
    /// There will be no more workers.
    finishing: watch::Sender<bool>,
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    /// What the engines of workers that have ended had last told.
    past: Mutex<Gauges>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts the first of `size` workers, and the others once it is ready.
    pub(crate) async fn start(
        size: usize,
        limits: Limits,
        log: Log,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, Refusal> {
        let cannot = |error: io::Error| Refusal::Load(LoadError::Runtime(format!("no worker: {error}")));
        let pool = Arc::new(Self {
            processes: Processes::new().map_err(cannot)?,
            serving: Mutex::default(),
            living: Mutex::default(),
            room: Arc::default(),
            about: OnceLock::new(),
            size,
            limits,
            renewing: Semaphore::new(1),
            numbers: AtomicU64::new(1),
            finishing: watch::Sender::new(false),
            log,
            metrics,
            past: Mutex::default(),
        });
        let first = pool.start_member().await?;
        let mut first = Some(first);
        for _ in 0..size {
            tokio::spawn(pool.clone().keep(first.take()));
        }
        tokio::spawn(pool.clone().watch());
        Ok(pool)
    }

    /// What a worker has said of itself; all say the same.
    pub(super) fn describe(&self, about: About) {
        let _ = self.about.set(about);
    }

    /// All workers that have not ended.
    pub(super) fn living(&self) -> Vec<Arc<Member>> {
        lock(&self.living).clone()
    }

    /// A worker has been started.
    pub(super) fn lives(&self, member: &Arc<Member>) {
        lock(&self.living).push(member.clone());
        if *self.finishing.borrow() {
            member.kill(Fate::Late);
        }
    }

    /// A worker has ended.
    pub(super) fn ended(&self, member: &Arc<Member>) {
        lock(&self.living).retain(|other| !Arc::ptr_eq(other, member));
        let mut past = lock(&self.past);
        // What is counted up must not go down with it.
        *past = past.with(Gauges { lock_wait: member.gauges().lock_wait, ..Gauges::default() });
    }

    /// How the engines of all workers do.
    async fn all_gauges(&self) -> Gauges {
        let serving = lock(&self.serving).clone();
        self.metrics.workers.set(serving.len() as i64);
        self.metrics.workers_busy.set(serving.iter().filter(|member| member.running() > 0).count() as i64);
        let mut all = *lock(&self.past);
        let asked: Vec<_> = serving
            .into_iter()
            .map(|member| {
                tokio::spawn(async move {
                    member.ask_gauges(GAUGES).await;
                    member.gauges()
                })
            })
            .collect();
        for gauges in asked {
            all = all.with(gauges.await.unwrap_or_default());
        }
        all
    }

    /// Waits for a worker that takes a call; `None` when the call was cancelled meanwhile.
    async fn hand_over_later(&self, mut call: Box<Invocation>) -> Option<Handed> {
        loop {
            let member = self.room.wait(&call.cancel, || self.choose()).await?;
            match member.hand_over(*call) {
                Ok(handed) => return Some(handed),
                // It has died between two lines of ours.
                Err(back) => call = back,
            }
        }
    }

    fn choose(&self) -> Option<Arc<Member>> {
        let serving = lock(&self.serving);
        let most = self.about.get().map(|about| about.capacity).filter(|one| *one != 0).unwrap_or(usize::MAX);
        let free = serving.iter().filter(|member| member.running() < most);
        let chosen = free.min_by_key(|member| (member.is_doubtful(), member.running(), member.served()))?;
        chosen.reserve();
        Some(chosen.clone())
    }

    /// Keeps one worker going for the life of the host.
    async fn keep(self: Arc<Self>, first: Option<Life>) {
        let mut finishing = self.finishing.subscribe();
        let mut next = first;
        let mut pause = PAUSES.0;
        loop {
            let mut life = match next.take() {
                Some(life) => life,
                None => match self.start_in_the_end().await {
                    Some(life) => life,
                    None => return,
                },
            };
            if !self.enlist(&life.member) {
                return;
            }
            let died = tokio::select! {
                _ = &mut life.over => true,
                _ = finishing.wait_for(|now| *now) => return,
                successor = self.leaving(&life.member) => {
                    next = successor;
                    false
                }
            };
            if died {
                if life.member.served() > 0 {
                    pause = PAUSES.0;
                } else {
                    let seconds = pause.as_secs_f64();
                    tracing::warn!("a worker ended before its first call; another one starts in {seconds} s");
                    self.rest(&mut pause).await;
                }
                continue;
            }
            // Before the old one gets no more, so that no call waits.
            if next.as_ref().is_some_and(|next| !self.enlist(&next.member)) {
                return;
            }
            self.dismiss(&life.member);
            tokio::spawn(self.clone().see_off(life.member));
        }
    }

    /// Starts a worker, if not now then later; `None` when the host ends.
    async fn start_in_the_end(self: &Arc<Self>) -> Option<Life> {
        let mut pause = PAUSES.0;
        loop {
            let refusal = match self.start_member().await {
                Ok(life) => return Some(life),
                Err(_) if *self.finishing.borrow() => return None,
                Err(refusal) => refusal,
            };
            tracing::error!("a worker did not start; trying again in {} s: {refusal}", pause.as_secs_f64());
            self.rest(&mut pause).await;
        }
    }

    /// Waits for a pause, unless the host ends, and makes the next one longer.
    async fn rest(&self, pause: &mut Duration) {
        let mut finishing = self.finishing.subscribe();
        let _ = tokio::time::timeout(*pause, finishing.wait_for(|now| *now)).await;
        *pause = (*pause * 2).min(PAUSES.1);
    }

    /// Waits until a worker has to go. One that need not hurry waits until its successor, which comes back, is ready.
    async fn leaving(self: &Arc<Self>, member: &Member) -> Option<Life> {
        let (mut leave, mut at_once) = (member.leave.subscribe(), member.leave.subscribe());
        // The sender lives in the member, so neither ends early.
        let _ = leave.wait_for(|leave| *leave > Leave::Stays).await;
        let replaced = async {
            let _turn = self.renewing.acquire().await;
            loop {
                match self.start_member().await {
                    Ok(life) => return life,
                    Err(refusal) => tracing::error!("a worker cannot be replaced: {refusal}"),
                }
                tokio::time::sleep(PAUSES.1).await;
            }
        };
        tokio::select! {
            biased;
            _ = at_once.wait_for(|leave| *leave == Leave::AtOnce) => None,
            successor = replaced => Some(successor),
        }
    }

    /// Puts a worker among those that get calls. `false` when the host ends.
    fn enlist(&self, member: &Arc<Member>) -> bool {
        let mut serving = lock(&self.serving);
        if *self.finishing.borrow() {
            return false;
        }
        if !serving.iter().any(|other| Arc::ptr_eq(other, member)) {
            serving.push(member.clone());
        }
        drop(serving);
        self.room.free_all();
        true
    }

    pub(super) fn dismiss(&self, member: &Arc<Member>) {
        lock(&self.serving).retain(|other| !Arc::ptr_eq(other, member));
    }

    /// Waits until a worker that gets no new calls has done those it has, and ends it.
    async fn see_off(self: Arc<Self>, member: Arc<Member>) {
        loop {
            let until = match member.prospect(Instant::now()) {
                Prospect::Busy { until } => until,
                Prospect::Stuck => return member.kill(Fate::Stuck),
                Prospect::Idle => break,
            };
            let _ = tokio::time::timeout_at(until.into(), member.ended.notified()).await;
        }
        self.finish_one(&member).await;
    }

    async fn finish_one(&self, member: &Member) {
        member.finish();
        if tokio::time::timeout(FINISHING, member.process.exited()).await.is_err() {
            member.kill(Fate::Late);
        }
    }

    /// Ends all workers; those that still have calls at once.
    async fn finish_all(&self) {
        self.finishing.send_replace(true);
        lock(&self.serving).clear();
        let living = lock(&self.living).clone();
        let mut ends = Vec::new();
        for member in &living {
            if member.running() > 0 {
                member.kill(Fate::Late);
            } else {
                member.finish();
            }
            let process = member.process.clone();
            ends.push(tokio::spawn(async move { process.exited().await }));
        }
        let all = async {
            for end in &mut ends {
                let _ = end.await;
            }
        };
        if tokio::time::timeout(FINISHING, all).await.is_err() {
            living.iter().for_each(|member| member.kill(Fate::Late));
        }
    }
}

impl AnyEngine for Pool {
    fn runtime_version(&self) -> String {
        self.about.get().map(|about| about.runtime.clone()).unwrap_or_default()
    }

    /// Of all workers together.
    fn capacity(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.about.get()?.capacity.saturating_mul(self.size))
    }

    fn streams_requests(&self) -> bool {
        self.about.get().is_some_and(|about| about.streams_requests)
    }

    fn serves(&self) -> bool {
        !lock(&self.serving).is_empty()
    }

    fn gauges(&self) -> BoxFuture<'_, Gauges> {
        Box::pin(self.all_gauges())
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.finish_all())
    }

    /// Runs a call on the worker that has the fewest, preferably one that has stopped all it was told to stop. It is handed
    /// over at once if there is a worker.
    fn invoke(self: Arc<Self>, call: Invocation) -> Invoke {
        Box::pin(async move {
            let handed = match self.choose() {
                Some(member) => member.hand_over(call),
                None => Err(Box::new(call)),
            };
            match handed {
                Ok(handed) => handed.answer().await,
                Err(call) => match Box::pin(self.hand_over_later(call)).await {
                    Some(handed) => handed.answer().await,
                    None => Err(HandlerError::Stopped),
                },
            }
        })
    }
}
