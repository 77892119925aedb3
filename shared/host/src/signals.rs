//! SIGTERM and SIGINT, kept out of the hands of the function.
//!
//! User code may install handlers of its own: CPython's `signal`, Go's `signal.Notify`, a C library. It must not be
//! able to keep the host from hearing that it should stop. So nothing here is a handler: the main thread blocks the
//! two signals and waits for them, and Linux gives a signal that is sent to a process to the main thread when that
//! thread takes it. All other threads have them unblocked, so that processes which the function starts can be
//! stopped as usual.

use std::sync::{Arc, OnceLock};

use nix::{
    libc,
    sys::{
        pthread::{Pthread, pthread_kill, pthread_self},
        signal::{SigSet, Signal},
    },
};

use crate::exit::Exit;

const STOP: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Proof that the main thread blocks the signals.
pub(crate) struct Signals(SigSet);

/// The other threads' end: tells the main thread that the work is done.
pub(crate) struct Finish {
    exit: Arc<OnceLock<Exit>>,
    main: Pthread,
}

impl Signals {
    /// To be called first of all: a signal that comes from now on waits until [`forward`](Self::forward).
    pub(crate) fn block() -> Self {
        let set = SigSet::from_iter(STOP);
        if let Err(error) = set.thread_block() {
            unreachable!("blocking signals that exist does not fail: {error}");
        }
        Self(set)
    }

    /// Unblocks them again in the calling thread and in those it starts.
    pub(crate) fn unblock_here() {
        let _ = SigSet::from_iter(STOP).thread_unblock();
    }

    /// Starts the work and waits, handing on the first signal by calling what `start` gave back. The second signal
    /// ends the process.
    pub(crate) fn forward<F: FnMut()>(self, start: impl FnOnce(Finish) -> F) -> Exit {
        let exit = Arc::new(OnceLock::new());
        let mut stop = start(Finish { exit: exit.clone(), main: pthread_self() });
        let mut asked = false;
        loop {
            let signal = self.0.wait();
            if let Some(exit) = exit.get() {
                return *exit;
            }
            match signal {
                Ok(_) if !asked => {
                    asked = true;
                    stop();
                }
                Ok(signal) => exit_now(signal),
                Err(error) => unreachable!("waiting for signals that exist does not fail: {error}"),
            }
        }
    }
}

impl Finish {
    /// Makes `forward` return.
    pub(crate) fn with(self, exit: Exit) {
        let _ = self.exit.set(exit);
        let _ = pthread_kill(self.main, Signal::SIGTERM);
    }
}

#[expect(clippy::exit, reason = "a second signal means: now, whatever still runs")]
fn exit_now(signal: Signal) -> ! {
    std::process::exit(128 + signal as libc::c_int)
}
