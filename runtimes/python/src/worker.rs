//! The threads that run `def` handlers.
//!
//! A thread attaches to the interpreter once and for life, and detaches only to wait. All of them take their work
//! from one queue. Waking a thread costs more than a small handler does, and two threads that both want to run
//! Python hinder each other; so a thread is woken only when none is on its way already:
//!
//! - work that arrives wakes an idle thread, or starts one, unless some thread has been woken and has not attached
//!   yet: that one will find the work when it gets the interpreter;
//! - a thread that takes work and leaves more behind wakes the next one by the same rule, because what it took may
//!   block;
//! - a thread that has finished looks into the queue before it detaches.
//!
//! So handlers that block run side by side, and handlers that only compute follow one another on one thread.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use contract::{HandlerError, Reply};
use pyo3::prelude::*;

use crate::{
    call::{Call, lock},
    convert::Source,
    engine::Shared,
};

/// An idle thread beyond the first ends after this time.
const IDLE: Duration = Duration::from_secs(30);

/// How often, at the most, a thread without work lets others run before it sleeps. Where the I/O threads share its CPU
/// and are busy they bring new work meanwhile, and being woken from sleep costs more than many a handler does. Where
/// that never happens it is not tried for long.
const YIELDS: u32 = 4;

/// A thread that has found yielding to be in vain tries it again after sleeping this often.
const YIELD_AGAIN: u32 = 32;

/// As much as the main thread of an ordinary Python program has, and again: deep recursion must end in a
/// `RecursionError`, not in a crash. Only what is used takes memory.
pub(crate) const STACK: usize = 16 * 1024 * 1024;

/// Work for a thread.
pub(crate) enum Job {
    /// Call the function.
    Call(Arc<Call>),
    /// Send what an iterator gives, on behalf of a handler that ran on the event loop.
    Stream(Arc<Call>, Reply, Source),
}

impl Job {
    fn call(&self) -> &Arc<Call> {
        let (Self::Call(call) | Self::Stream(call, ..)) = self;
        call
    }
}

/// The threads and their queue.
pub(crate) struct Pool {
    state: Mutex<State>,
    limit: usize,
    /// Nanoseconds that threads which were woken have waited for the interpreter.
    waited: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait, the one that worked last at the end: its caches are warm.
    idle: Vec<Arc<Seat>>,
    /// Threads that have been woken or started and have not attached yet.
    coming: usize,
    threads: usize,
}

/// Where a thread waits.
struct Seat {
    thread: Thread,
    woken: AtomicBool,
}

/// How long a thread hopes for work before it sleeps, from experience.
struct Hope {
    yields: u32,
    sleeps: u32,
}

impl Hope {
    /// Lets others run for a moment; whether that brought work.
    fn fulfilled(&mut self, seat: &Seat) -> bool {
        for _ in 0..self.yields {
            thread::yield_now();
            if seat.woken.load(Ordering::Acquire) {
                *self = Self::default();
                return true;
            }
        }
        self.yields = self.yields.saturating_sub(1);
        self.sleeps += 1;
        if self.sleeps >= YIELD_AGAIN {
            *self = Self { yields: 1, sleeps: 0 };
        }
        false
    }
}

impl Default for Hope {
    fn default() -> Self {
        Self { yields: YIELDS, sleeps: 0 }
    }
}

/// How to get another thread going, to be done without holding the lock.
enum Wake {
    Nobody,
    Idle(Arc<Seat>),
    Start,
}

impl State {
    fn wake(&mut self, limit: usize) -> Wake {
        if self.coming > 0 {
            return Wake::Nobody;
        }
        if let Some(seat) = self.idle.pop() {
            self.coming += 1;
            return Wake::Idle(seat);
        }
        if self.threads < limit {
            self.threads += 1;
            self.coming += 1;
            return Wake::Start;
        }
        Wake::Nobody
    }
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), limit, waited: AtomicU64::new(0) }
    }

    fn waited(&self, time: Duration) {
        self.waited.fetch_add(u64::try_from(time.as_nanos()).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The time that threads with work have waited for the interpreter, since the start.
    pub(crate) fn lock_wait(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// How many threads there may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn wake(&self, shared: &Arc<Shared>, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Idle(seat) => {
                seat.woken.store(true, Ordering::Release);
                seat.thread.unpark();
            }
            Wake::Start => {
                if let Err(error) = start(shared) {
                    self.not_started(&error);
                }
            }
        }
    }

    /// The system gives no more threads. Those there are go on; without any, nobody is left to do the work.
    fn not_started(&self, error: &io::Error) {
        tracing::error!("cannot start a thread for handlers: {error}");
        let mut state = lock(&self.state);
        state.threads -= 1;
        state.coming -= 1;
        let lost = if state.threads == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() };
        drop(state);
        for job in lost {
            job.call().fail(HandlerError::Lost(format!("no thread could be started: {error}")));
        }
    }

    /// The next job for the calling thread, or `None` after taking a seat among the idle.
    fn next(&self, shared: &Arc<Shared>, seat: &Arc<Seat>, arrives: bool) -> Option<Job> {
        let mut state = lock(&self.state);
        if arrives {
            state.coming -= 1;
        }
        let Some(job) = state.jobs.pop_front() else {
            seat.woken.store(false, Ordering::Relaxed);
            state.idle.push(seat.clone());
            return None;
        };
        let wake = if state.jobs.is_empty() { Wake::Nobody } else { state.wake(self.limit) };
        drop(state);
        self.wake(shared, wake);
        Some(job)
    }

    /// Waits to be woken; `false` when the thread should end instead.
    fn sit(&self, seat: &Arc<Seat>, hope: &mut Hope) -> bool {
        if hope.fulfilled(seat) {
            return true;
        }
        let since = Instant::now();
        while !seat.woken.load(Ordering::Acquire) {
            let left = IDLE.saturating_sub(since.elapsed());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            let mut state = lock(&self.state);
            let superfluous = state.idle.len() > 1;
            match state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) {
                Some(place) if superfluous => {
                    state.idle.remove(place);
                    state.threads -= 1;
                    return false;
                }
                Some(_) => {
                    drop(state);
                    thread::park();
                }
                // Taken from its seat at this very moment: the wake-up is on its way.
                None => {
                    drop(state);
                    thread::park();
                }
            }
        }
        true
    }
}

impl Shared {
    /// Has a thread do `job`.
    pub(crate) fn submit(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.pool.state);
        state.jobs.push_back(job);
        let wake = state.wake(self.pool.limit);
        drop(state);
        self.pool.wake(self, wake);
    }

    /// Starts the first thread before there is work, so that the first call need not wait for it.
    pub(crate) fn start_first_thread(self: &Arc<Self>) {
        let mut state = lock(&self.pool.state);
        let wake = state.wake(self.pool.limit);
        drop(state);
        self.pool.wake(self, wake);
    }
}

fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = shared.clone();
    let work = move || Python::attach(|py| work(py, &shared));
    thread::Builder::new().name("python-worker".to_owned()).stack_size(STACK).spawn(work).map(drop)
}

/// The life of a thread.
fn work(py: Python<'_>, shared: &Arc<Shared>) {
    let seat = Arc::new(Seat { thread: thread::current(), woken: AtomicBool::new(true) });
    let (mut arrives, mut hope) = (true, Hope::default());
    loop {
        match shared.pool.next(shared, &seat, std::mem::take(&mut arrives)) {
            Some(job) => run(py, shared, job),
            None => {
                let (goes_on, woken) = py.detach(|| (shared.pool.sit(&seat, &mut hope), Instant::now()));
                shared.pool.waited(woken.elapsed());
                if !goes_on {
                    return;
                }
                arrives = true;
            }
        }
    }
}

fn run(py: Python<'_>, shared: &Arc<Shared>, job: Job) {
    let call = job.call().clone();
    // A panic is a fault of ours or of a native extension; it costs this call, not the thread.
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match job {
        Job::Call(call) => shared.serve(py, &call),
        Job::Stream(call, head, source) => shared.serve_stream(py, &call, head, &source),
    }));
    if ran.is_err() {
        shared.printer.thread_runs(None);
        call.settle(py, Err(HandlerError::Lost("the thread that ran it panicked".to_owned())));
    }
}
