//! The isolates: how many there are, how they are told things, and how one takes another's place.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use contract::{HandlerSource, LoadError};
use deno_core::v8::IsolateHandle;
use futures_util::{future::join_all, task::AtomicWaker};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    call::Call,
    ffi,
    isolate::{self, Parts},
    limits::{self, Limits},
    queue::Queue,
    snapshot::Snapshot,
    worker,
};

/// V8 lets JavaScript use about one MiB of a thread's stack; native code called from there needs some as well.
const STACK: usize = 8 << 20;
/// When no isolate has taken a call for this long though some wait, user code keeps all of them.
const KEPT: Duration = Duration::from_millis(100);
/// An isolate that has heard nothing for so long is not waited for by whoever asks for metrics.
const DEAF: Duration = Duration::from_millis(200);
/// Between two attempts to start an isolate in the place of another.
const AGAIN: Duration = Duration::from_secs(1);

/// What all isolates of the process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) source: HandlerSource,
    pub(crate) parts: Parts,
    pub(crate) queue: Queue,
    pub(crate) isolates: Isolates,
    /// To the pool's thread.
    wishes: Mutex<Sender<Wish>>,
    /// It has been told that isolates are missing, and has not looked yet.
    asked: AtomicBool,
}

/// What the pool's thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// An isolate has retired.
    Another,
    /// All isolates are kept from taking calls.
    OneMore,
}

/// Those that are there, whatever they do.
#[derive(Debug, Default)]
pub(crate) struct Isolates(Mutex<Vec<Weak<Isolate>>>);

impl Isolates {
    fn all(&self) -> MutexGuard<'_, Vec<Weak<Isolate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, isolate: &Arc<Isolate>) {
        let mut all = self.all();
        all.retain(|isolate| isolate.strong_count() > 0);
        all.push(Arc::downgrade(isolate));
    }

    /// How long the slowest of those that take calls needs to hear something; it is not waited for longer than
    /// [`DEAF`].
    pub(crate) async fn lag(&self) -> Duration {
        let asked = Instant::now();
        let ask = |isolate: Arc<Isolate>| {
            let (heard, hears) = oneshot::channel();
            isolate.send(Message::Lag(heard));
            hears
        };
        let there: Vec<_> = self.all().iter().filter_map(Weak::upgrade).collect();
        let answers: Vec<_> = there.into_iter().filter(|isolate| !isolate.is_retired()).map(ask).collect();
        let _ = timeout(DEAF, join_all(answers)).await;
        asked.elapsed()
    }
}

/// One isolate, as other threads know it.
#[derive(Debug, Default)]
pub(crate) struct Isolate {
    /// Of the thread that runs it.
    waker: AtomicWaker,
    messages: Mutex<Vec<Message>>,
    handle: OnceLock<IsolateHandle>,
    retired: AtomicBool,
}

/// What the server tells an isolate about one of its calls.
#[derive(Debug)]
pub(crate) enum Message {
    /// Nobody waits for the rest of the answer.
    Stop(Arc<Call>),
    /// The client has taken enough of the body for more to be written.
    Room(Arc<Call>),
    /// How long it takes until the isolate hears this is asked.
    Lag(oneshot::Sender<()>),
}

/// When an isolate takes its first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// When it has loaded all that the function will need.
    Whole,
    /// When it has loaded the function, if the other isolates have no time.
    Early,
}

impl Isolate {
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    pub(crate) fn send(&self, message: Message) {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        self.wake();
    }

    /// Makes it look whether what it runs should be stopped.
    pub(crate) fn interrupt(&self) {
        if let Some(handle) = self.handle.get() {
            ffi::request_interrupt(handle);
        }
    }

    /// It takes no calls any more. Whether that was so before.
    pub(crate) fn retire(&self) -> bool {
        self.retired.swap(true, Relaxed)
    }

    /// Whether it takes no calls any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    // For the thread that runs it.

    pub(crate) fn receive(&self) -> Vec<Message> {
        std::mem::take(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_run_by(&self, cx: &std::task::Context<'_>) {
        self.waker.register(cx.waker());
    }

    pub(crate) fn has_started(&self, handle: IsolateHandle) {
        let _ = self.handle.set(handle);
    }
}

impl Shared {
    /// The isolate takes no calls any more, and another one is started in its place. It ends with its last call.
    pub(crate) fn retire(&self, isolate: &Arc<Isolate>) {
        if isolate.retire() {
            return;
        }
        self.queue.leave(isolate);
        isolate.wake();
        self.wish(Wish::Another);
    }

    /// Called now and then while calls run.
    pub(crate) fn look_after_waiting_calls(&self) {
        if self.queue.stands_still() > KEPT && !self.asked.swap(true, Relaxed) {
            self.wish(Wish::OneMore);
        }
    }

    fn wish(&self, wish: Wish) {
        let _ = self.wishes.lock().unwrap_or_else(PoisonError::into_inner).send(wish);
    }
}

/// Starts as many isolates as the limits say. Returns when the first one has loaded the function, with V8's version;
/// the others follow.
///
/// Memory protection keys, which V8 uses for its code, are handed down from thread to thread. So V8 and all isolates
/// are started by one thread, and that thread stays.
pub(crate) fn start(
    source: HandlerSource,
    limits: Limits,
    snapshot: Snapshot,
) -> Result<Arc<Shared>, LoadError> {
    let (sender, wishes) = channel();
    let parts = Parts {
        root: std::path::absolute(&source.root).unwrap_or_else(|_| source.root.clone()),
        memory: limits.memory,
        snapshot,
        compiled: Arc::new(snapshot.compiled()),
        output: source.output.clone(),
    };
    let shared = Arc::new(Shared {
        source,
        parts,
        queue: Queue::default(),
        isolates: Isolates::default(),
        wishes: Mutex::new(sender),
        asked: AtomicBool::new(false),
    });
    let (first, result) = channel();
    spawn("funchost-pool", limits::SMALL_STACK, {
        let shared = shared.clone();
        move || keep(&shared, limits.isolates, &wishes, &first)
    })?;
    match result.recv() {
        Ok(Ok(())) => Ok(shared),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(LoadError::Runtime("the thread that starts V8 has panicked".to_owned())),
    }
}

fn keep(shared: &Arc<Shared>, wanted: usize, wishes: &Receiver<Wish>, first: &Sender<Result<(), LoadError>>) {
    isolate::start_v8();
    // Whoever is told that the host is ready may count on that.
    let started = start_one(shared, Start::Whole);
    let goes_on = started.is_ok();
    let _ = first.send(started);
    if !goes_on {
        return;
    }
    for _ in 1..wanted {
        insist(shared);
    }
    let mut there = wanted;
    while let Ok(wish) = wishes.recv() {
        // User code that keeps an isolate may come back or run into its deadline. Until then there may be twice as many;
        // those that are too many are not replaced when they retire.
        let limit = match wish {
            Wish::Another => {
                there -= 1;
                wanted
            }
            Wish::OneMore => 2 * wanted,
        };
        if there < limit {
            insist(shared);
            there += 1;
        }
        if wish == Wish::OneMore {
            shared.asked.store(false, Relaxed);
        }
    }
}

/// The function has been loaded before, so it can be loaded again, sooner or later.
fn insist(shared: &Arc<Shared>) {
    while let Err(error) = start_one(shared, Start::Early) {
        let failure = crate::error::of_load(&error);
        shared.source.output.stray_failure(&failure, None);
        thread::park_timeout(AGAIN);
    }
}

/// Starts an isolate and waits until it has loaded the function.
fn start_one(shared: &Arc<Shared>, start: Start) -> Result<(), LoadError> {
    let (loaded, result) = channel();
    spawn("funchost-js", STACK, {
        let shared = shared.clone();
        move || worker::run(shared, start, &loaded)
    })?;
    result.recv().unwrap_or_else(|_| {
        Err(LoadError::Runtime("the thread that loads the function has panicked".to_owned()))
    })
}

fn spawn(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> Result<(), LoadError> {
    let spawned = thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(work);
    spawned.map(drop).map_err(|error| LoadError::Runtime(format!("cannot start the thread {name}: {error}")))
}
