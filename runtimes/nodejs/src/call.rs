//! One call from its arrival to the end of its user code. The server's task that waits for the answer and the isolate
//! that runs it share it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contract::{CallIds, CancelReason, DataKind, HandlerError, Invocation, Place, Reply, cancel::Witness};
use http::{HeaderMap, Method, Uri, Version};

use crate::{batch::ANSWERS, pipe::Pipe, pool::Isolate};

/// The request, as far as the function is told about it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) remote: SocketAddr,
    pub(crate) data_kind: DataKind,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Call {
    /// What JavaScript knows it by. Not given to another call for as long as anybody could remember it.
    pub(crate) number: u32,
    pub(crate) request: Request,
    pub(crate) ids: CallIds,
    /// Why nobody waits for the answer any more, if so.
    stopped: OnceLock<CancelReason>,
    /// Wants to know where its user code was then.
    pub(crate) witness: Witness,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Given back when the user code is done.
    place: Option<Place>,
    answer: Option<Result<Answered, HandlerError>>,
    waker: Option<Waker>,
    pipe: Option<Arc<Pipe>>,
}

/// Where the user code of a call is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// No isolate has taken it.
    Waiting,
    /// This isolate has.
    On(Arc<Isolate>),
    /// Done, or never to be run.
    Over,
}

/// The head of an answer; its body comes through the pipe if there is one.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) pipe: Option<Arc<Pipe>>,
}

impl Call {
    pub(crate) fn new(invocation: Invocation) -> Result<(Arc<Self>, contract::Cancelled), HandlerError> {
        let data_kind = invocation.data_kind();
        let Invocation { method, uri, version, headers, body, remote, ids, cancel, place, .. } = invocation;
        let body = body.whole()?;
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let call = Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            request: Request { method, uri, version, headers, body, remote, data_kind },
            ids,
            stopped: OnceLock::new(),
            witness: cancel.witness(),
            state: Mutex::new(State {
                stage: Stage::Waiting,
                place: Some(place),
                answer: None,
                waker: None,
                pipe: None,
            }),
        };
        Ok((Arc::new(call), cancel))
    }

    /// Data behind this lock stays consistent even if a thread panics while holding it: every change is one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self) -> Stage {
        self.state().stage.clone()
    }

    /// Why the call was told to stop, if it was.
    pub(crate) fn stopped(&self) -> Option<CancelReason> {
        self.stopped.get().copied()
    }

    /// Nobody waits for the answer any more. A call that no isolate has taken is over with that; of any other, its
    /// isolate has to be told.
    pub(crate) fn stop(&self, reason: CancelReason) -> Option<Arc<Isolate>> {
        let _ = self.stopped.set(reason);
        let state = self.state();
        match &state.stage {
            Stage::Waiting => {
                Self::finish_with(state, Err(HandlerError::Stopped));
                None
            }
            Stage::On(isolate) => Some(isolate.clone()),
            Stage::Over => None,
        }
    }

    // The isolate's side.

    /// An isolate takes it. `false` when it was stopped before.
    pub(crate) fn taken_by(&self, isolate: &Arc<Isolate>) -> bool {
        let mut state = self.state();
        let waits = matches!(state.stage, Stage::Waiting);
        if waits {
            state.stage = Stage::On(isolate.clone());
        }
        waits
    }

    /// Gives the head of an answer whose body follows through the pipe.
    pub(crate) fn begin(&self, reply: Reply) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe::default());
        let mut state = self.state();
        state.pipe = Some(pipe.clone());
        state.answer = Some(Ok(Answered { reply, pipe: Some(pipe.clone()) }));
        state.waker.take().into_iter().for_each(|waker| ANSWERS.add(waker));
        pipe
    }

    /// The user code is done, and this is its answer, or the end of a streamed one. The first time counts.
    pub(crate) fn finish(&self, result: Result<Reply, HandlerError>) {
        let state = self.state();
        if !matches!(state.stage, Stage::Over) {
            Self::finish_with(state, result);
        }
    }

    fn finish_with(mut state: MutexGuard<'_, State>, result: Result<Reply, HandlerError>) {
        state.stage = Stage::Over;
        let place = state.place.take();
        let waker = match state.pipe.take() {
            Some(pipe) => {
                pipe.end(result.map(drop));
                pipe.take_reader()
            }
            None => {
                state.answer = Some(result.map(|reply| Answered { reply, pipe: None }));
                state.waker.take()
            }
        };
        drop(state);
        // Given back first: whoever is woken finds the call no longer counted as running.
        drop(place);
        waker.into_iter().for_each(|waker| ANSWERS.add(waker));
    }

    // The server's side.

    /// The answer, once it is there.
    pub(crate) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<Answered, HandlerError>> {
        let mut state = self.state();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(answer);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{sync::atomic::AtomicBool, time::Instant};

    use contract::{RequestId, TraceContext, cancel::Canceller};

    use super::*;

    /// A call without a body that nobody will ever stop.
    pub(crate) fn call() -> Arc<Call> {
        call_with(Place::new(()))
    }

    fn call_with(place: Place) -> Arc<Call> {
        let trace = TraceContext { trace_id: 1, span_id: 2, flags: 0 };
        let invocation = Invocation {
            method: Method::GET,
            uri: Uri::from_static("/"),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: contract::Body::Empty,
            remote: ([192, 0, 2, 1], 4711).into(),
            ids: CallIds { request_id: RequestId::from_trace(&trace), trace },
            deadline: Instant::now(),
            cancel: Canceller::new().1,
            place,
        };
        Call::new(invocation).unwrap().0
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    struct Held(Arc<AtomicBool>);

    impl contract::event::Hold for Held {}

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_call_that_no_isolate_has_taken_is_over_when_it_is_stopped() {
        let given_back = Arc::new(AtomicBool::new(false));
        let call = call_with(Place::new(Held(given_back.clone())));
        assert!(call.stop(CancelReason::Deadline).is_none());
        assert!(given_back.load(Ordering::SeqCst));
        assert!(!call.taken_by(&Arc::default()), "and no isolate takes it");
        assert!(matches!(call.poll_answer(&cx()), Poll::Ready(Err(HandlerError::Stopped))));
    }

    #[test]
    fn a_call_keeps_its_place_until_its_isolate_is_done_with_it() {
        let given_back = Arc::new(AtomicBool::new(false));
        let call = call_with(Place::new(Held(given_back.clone())));
        let isolate = Arc::new(Isolate::default());
        assert!(call.taken_by(&isolate));
        assert!(call.stop(CancelReason::Deadline).is_some_and(|told| Arc::ptr_eq(&told, &isolate)));
        assert!(!given_back.load(Ordering::SeqCst));
        call.finish(Err(HandlerError::Stopped));
        assert!(given_back.load(Ordering::SeqCst));
    }

    #[test]
    fn the_first_end_counts_and_a_body_that_has_begun_is_ended_by_it() {
        let call = call();
        assert!(call.taken_by(&Arc::default()));
        let pipe = call.begin(Reply::default());
        call.finish(Err(HandlerError::Stopped));
        call.finish(Ok(Reply::default()));
        let Poll::Ready(Ok(Answered { pipe: Some(_), .. })) = call.poll_answer(&cx()) else {
            panic!("the head is lost");
        };
        assert!(matches!(pipe.poll(&cx()), Poll::Ready(crate::pipe::Next::Broken(HandlerError::Stopped))));
    }
}
