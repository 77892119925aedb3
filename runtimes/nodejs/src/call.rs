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
use contract::{Body, CallIds, CancelReason, DataKind, HandlerError, Invocation, Place, Reply};
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
    pub(crate) fn new(invocation: Invocation) -> (Arc<Self>, contract::Cancelled) {
        let data_kind = invocation.data_kind();
        let Invocation { method, uri, version, headers, body, remote, ids, cancel, place, .. } = invocation;
        let body = match body {
            Body::Empty => Bytes::new(),
            Body::Whole(bytes) => bytes,
            Body::Stream(_) => unreachable!("the contract says that request bodies are complete"),
        };
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let call = Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            request: Request { method, uri, version, headers, body, remote, data_kind },
            ids,
            stopped: OnceLock::new(),
            state: Mutex::new(State {
                stage: Stage::Waiting,
                place: Some(place),
                answer: None,
                waker: None,
                pipe: None,
            }),
        };
        (Arc::new(call), cancel)
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
