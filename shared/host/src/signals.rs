//! SIGTERM and SIGINT, kept out of the hands of the function.
//!
//! User code may install handlers of its own: CPython's `signal`, Go's `signal.Notify`, a C library. It must not be
//! able to keep the host from hearing that it should stop. So the main thread blocks the two signals and waits for
//! them: Linux gives a signal that is sent to a process to the main thread when that thread takes it, whatever
//! handler is installed. All other threads have them unblocked, so that processes which the function starts can be
//! stopped as usual; for the moments in which the main thread is not waiting there is a handler as well.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use nix::sys::{
    pthread::{Pthread, pthread_kill, pthread_self},
    signal::{SigSet, Signal},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

use crate::exit::Exit;

const STOP: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Proof that the main thread blocks the signals.
pub(crate) struct Signals(SigSet);

/// The wish to stop, from whoever hears a signal to whoever serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<Wish>);

#[derive(Debug, Default)]
struct Wish {
    asked: AtomicBool,
    heard: Notify,
}

/// The other threads' end: tells the main thread that the work is done.
pub(crate) struct Finish {
    exit: Arc<OnceLock<Exit>>,
    main: Pthread,
}

impl Signals {
    /// To be called first of all: a signal that comes from now on waits until somebody takes it.
    pub(crate) fn block() -> Self {
        let set = SigSet::from_iter(STOP);
        if let Err(error) = set.thread_block() {
            unreachable!("blocking signals that exist does not fail: {error}");
        }
        Self(set)
    }

    /// Starts the work and waits until it is done, hearing the signals meanwhile.
    pub(crate) fn while_serving(self, start: impl FnOnce(Stop, Finish)) -> Exit {
        let stop = Stop::default();
        let heard = stop.clone();
        self.until_finished(|finish| start(stop, finish), |signal| heard.ask(signal))
    }

    /// The same for a worker: when it is to stop, the host tells it. Signals that are sent to everybody are not for it.
    pub(crate) fn while_ignoring(self, start: impl FnOnce(Finish)) -> Exit {
        self.until_finished(start, |_| {})
    }

    fn until_finished(self, start: impl FnOnce(Finish), hear: impl Fn(Signal)) -> Exit {
        let exit = Arc::new(OnceLock::new());
        start(Finish { exit: exit.clone(), main: pthread_self() });
        loop {
            let signal = self.0.wait();
            if let Some(exit) = exit.get() {
                return *exit;
            }
            match signal {
                Ok(signal) => hear(signal),
                Err(error) => unreachable!("waiting for signals that exist does not fail: {error}"),
            }
        }
    }
}

impl Stop {
    /// A signal was heard. The second one ends the process.
    fn ask(&self, signal: Signal) {
        if self.0.asked.swap(true, Ordering::Relaxed) {
            exit_now(signal);
        }
        self.0.heard.notify_one();
    }

    /// Waits for the first signal.
    pub(crate) async fn asked(&self) {
        self.0.heard.notified().await;
    }

    /// Installs the handlers, and unblocks the signals in the calling thread and in those it starts from now on.
    /// Called within the runtime.
    pub(crate) fn hear_on_this_thread(&self) -> std::io::Result<()> {
        for (kind, number) in [(SignalKind::terminate(), STOP[0]), (SignalKind::interrupt(), STOP[1])] {
            let (mut signals, stop) = (signal(kind)?, self.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    stop.ask(number);
                }
            });
        }
        unblock()
    }
}

/// Makes the signals do nothing, and unblocks them in the calling thread and in those it starts from now on. Called
/// within the runtime.
pub(crate) fn ignore_on_this_thread() -> std::io::Result<()> {
    // A handler that nobody listens to, which stays for good. Being ignored would be inherited by what user code starts.
    drop((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    unblock()
}

fn unblock() -> std::io::Result<()> {
    Ok(SigSet::from_iter(STOP).thread_unblock()?)
}

impl Finish {
    /// Makes `while_serving` return.
    pub(crate) fn with(self, exit: Exit) {
        let _ = self.exit.set(exit);
        let _ = pthread_kill(self.main, STOP[0]);
    }
}

#[expect(clippy::exit, reason = "a second signal means: now, whatever still runs")]
fn exit_now(signal: Signal) -> ! {
    std::process::exit(128 + signal as i32)
}
