//! The calls that no isolate has taken yet, and the isolates that have nothing to do.
//!
//! Isolates take calls themselves, one at a time, when their threads have time for one. So a call never waits behind
//! user code that does not come back while another isolate could run it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{call::Call, pool::Isolate};

#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: VecDeque<Arc<Call>>,
    /// When one of them was taken, or the first of them came.
    moved: Option<Instant>,
    /// The last one to fall idle is the first to be woken: its caches are the warmest.
    idle: Vec<Arc<Isolate>>,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call. The caller sees to it that [`wake`](Self::wake) follows.
    pub(crate) fn add(&self, call: Arc<Call>) {
        let mut state = self.state();
        if state.calls.is_empty() {
            state.moved = Some(Instant::now());
        }
        state.calls.push_back(call);
    }

    /// Wakes an isolate for what has been added, if one is idle.
    pub(crate) fn wake(&self) {
        let mut state = self.state();
        let isolate = if state.calls.is_empty() { None } else { state.idle.pop() };
        drop(state);
        if let Some(isolate) = isolate {
            isolate.wake();
        }
    }

    /// The next call for this isolate. When there is none it counts as idle from now on. One that takes a call and
    /// leaves others behind wakes an idle one for them.
    pub(crate) fn take(&self, isolate: &Arc<Isolate>) -> Option<Arc<Call>> {
        let mut state = self.state();
        // Looked at behind the lock: one that has left must not be counted as idle again.
        if isolate.is_retired() {
            return None;
        }
        let call = state.calls.pop_front();
        let is_idle = state.idle.iter().position(|idle| Arc::ptr_eq(idle, isolate));
        match (&call, is_idle) {
            (None, None) => state.idle.push(isolate.clone()),
            (Some(_), Some(index)) => {
                state.idle.swap_remove(index);
            }
            _ => {}
        }
        let more = call.is_some() && !state.calls.is_empty();
        if more {
            state.moved = Some(Instant::now());
        }
        let next = if more { state.idle.pop() } else { None };
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
        call
    }

    /// For how long no isolate has taken any of the calls that wait.
    pub(crate) fn stands_still(&self) -> Duration {
        let state = self.state();
        let since = state.moved.filter(|_| !state.calls.is_empty());
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// This isolate takes no calls any more. Those that wait are for others.
    pub(crate) fn leave(&self, isolate: &Arc<Isolate>) {
        self.state().idle.retain(|idle| !Arc::ptr_eq(idle, isolate));
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::call;

    #[test]
    fn calls_are_taken_in_the_order_they_came() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        let calls = [call(), call()];
        calls.iter().for_each(|call| queue.add(call.clone()));
        for call in &calls {
            assert!(Arc::ptr_eq(&queue.take(&isolate).unwrap(), call));
        }
        assert!(queue.take(&isolate).is_none());
    }

    #[test]
    fn an_isolate_is_idle_once_until_it_takes_a_call() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        let idle = || queue.state().idle.len();
        assert!(queue.take(&isolate).is_none() && queue.take(&isolate).is_none());
        assert_eq!(idle(), 1);
        queue.add(call());
        assert!(queue.take(&isolate).is_some());
        assert_eq!(idle(), 0, "it need not be woken for the next one");
    }

    #[test]
    fn an_isolate_that_has_retired_is_not_counted_on() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        assert!(queue.take(&isolate).is_none());
        isolate.retire();
        queue.leave(&isolate);
        queue.add(call());
        assert!(queue.take(&isolate).is_none(), "the call is for another one");
        assert!(queue.state().idle.is_empty());
        assert!(queue.take(&Arc::new(Isolate::default())).is_some());
    }
}
