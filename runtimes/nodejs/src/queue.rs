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
    /// Have been woken and have not come for their call yet.
    woken: Vec<Arc<Isolate>>,
}

impl State {
    /// The isolate to wake for one more of the calls that wait.
    fn next(&mut self) -> Option<Arc<Isolate>> {
        let isolate = if self.calls.is_empty() { None } else { self.idle.pop() };
        self.woken.extend(isolate.clone());
        isolate
    }
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
        let isolate = self.state().next();
        if let Some(isolate) = isolate {
            isolate.wake();
        }
    }

    /// The next call for an isolate. One that leaves others behind wakes an idle one for them.
    pub(crate) fn take(&self, isolate: &Arc<Isolate>) -> Option<Arc<Call>> {
        let mut state = self.state();
        state.woken.retain(|woken| !Arc::ptr_eq(woken, isolate));
        Self::take_from(state)
    }

    /// The same for an isolate that has something else to do: the next call that no other one was woken for.
    pub(crate) fn take_spare(&self) -> Option<Arc<Call>> {
        let state = self.state();
        if state.calls.len() > state.woken.len() { Self::take_from(state) } else { None }
    }

    fn take_from(mut state: MutexGuard<'_, State>) -> Option<Arc<Call>> {
        let call = state.calls.pop_front()?;
        state.moved = Some(Instant::now());
        let next = state.next();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
        Some(call)
    }

    /// The isolate is about to run whatever there is to run, and cannot be counted on for calls.
    pub(crate) fn is_busy(&self, isolate: &Arc<Isolate>) {
        self.state().idle.retain(|idle| !Arc::ptr_eq(idle, isolate));
    }

    /// The isolate has nothing to do, and will be woken for the next call. `false` when there is one now.
    pub(crate) fn is_idle(&self, isolate: &Arc<Isolate>) -> bool {
        let mut state = self.state();
        // Looked at behind the lock: one that has left must not be counted on again.
        if isolate.is_retired() {
            return true;
        }
        if state.calls.is_empty() {
            state.idle.push(isolate.clone());
        }
        state.calls.is_empty()
    }

    /// For how long no isolate has taken any of the calls that wait.
    pub(crate) fn stands_still(&self) -> Duration {
        let state = self.state();
        let since = state.moved.filter(|_| !state.calls.is_empty());
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The isolate takes no calls any more. Those that wait are for others.
    pub(crate) fn leave(&self, isolate: &Arc<Isolate>) {
        self.is_busy(isolate);
        self.state().woken.retain(|woken| !Arc::ptr_eq(woken, isolate));
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::call;

    #[test]
    fn calls_are_taken_in_the_order_they_came() {
        let queue = Queue::default();
        let calls = [call(), call()];
        calls.iter().for_each(|call| queue.add(call.clone()));
        for call in &calls {
            assert!(Arc::ptr_eq(&queue.take(&Arc::default()).unwrap(), call));
        }
        assert!(queue.take(&Arc::default()).is_none());
    }

    #[test]
    fn an_isolate_is_counted_on_only_while_it_has_nothing_to_do() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        let idle = || queue.state().idle.len();
        assert!(queue.is_idle(&isolate));
        assert_eq!(idle(), 1);
        queue.is_busy(&isolate);
        assert_eq!(idle(), 0, "a timer of its own may keep it for long");
        queue.add(call());
        assert!(!queue.is_idle(&isolate), "there is a call for it");
        assert_eq!(idle(), 0);
    }

    #[test]
    fn whoever_takes_a_call_wakes_another_isolate_for_the_next() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        assert!(queue.is_idle(&isolate));
        queue.add(call());
        queue.add(call());
        assert!(queue.take(&Arc::default()).is_some());
        assert!(queue.state().idle.is_empty());
    }

    #[test]
    fn a_call_is_for_the_isolate_that_was_woken_for_it() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        assert!(queue.is_idle(&isolate));
        queue.add(call());
        queue.wake();
        assert!(queue.take_spare().is_none());
        queue.add(call());
        assert!(queue.take_spare().is_some(), "nobody was woken for the second");
        assert!(queue.take_spare().is_none());
        assert!(queue.take(&isolate).is_some());
        queue.add(call());
        assert!(queue.take_spare().is_some(), "the isolate has come for its call");
    }

    #[test]
    fn an_isolate_that_has_retired_is_not_counted_on() {
        let (queue, isolate) = (Queue::default(), Arc::new(Isolate::default()));
        assert!(queue.is_idle(&isolate));
        queue.add(call());
        queue.wake();
        isolate.retire();
        queue.leave(&isolate);
        assert!(queue.is_idle(&isolate));
        assert!(queue.state().idle.is_empty());
        assert!(queue.take_spare().is_some(), "what it was woken for is for others");
    }
}
