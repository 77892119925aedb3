//! Waking the threads that wait for answers, without a system call for each answer.
//!
//! Waking a task of the server from a foreign thread means writing to a file descriptor that its I/O thread polls.
//! When answers come faster than that thread gets to run, one such write is enough: the task that is woken wakes the
//! others, from inside, where it costs next to nothing.

use std::{
    mem,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use crate::call::lock;

/// One for the process, as there is one interpreter.
pub(crate) static BELL: Bell = Bell { rung: AtomicBool::new(false), others: Mutex::new(Vec::new()) };

/// Wakers of tasks whose answers are there.
pub(crate) struct Bell {
    /// Some task has been woken and has not answered yet. Changed only under the lock.
    rung: AtomicBool,
    others: Mutex<Vec<Waker>>,
}

/// Held by every task that waits for an answer, so that one which is dropped does not keep a ring to itself.
pub(crate) struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        BELL.answer();
    }
}

impl Bell {
    /// Sees to it that `waker` is woken soon: now, or by a task that has been woken already.
    pub(crate) fn ring(&self, waker: Waker) {
        let mut others = lock(&self.others);
        if self.rung.swap(true, Ordering::Relaxed) {
            others.push(waker);
        } else {
            drop(others);
            waker.wake();
        }
    }

    /// To be called by every task that may have been woken, when it runs.
    pub(crate) fn answer(&self) {
        if !self.rung.load(Ordering::Relaxed) {
            return;
        }
        let mut others = lock(&self.others);
        self.rung.store(false, Ordering::Relaxed);
        let woken = mem::take(&mut *others);
        drop(others);
        woken.into_iter().for_each(Waker::wake);
    }
}
