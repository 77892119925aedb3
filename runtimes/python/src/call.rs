//! One call from its arrival to the end of its user code.

use std::{
    ffi::c_ulong,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use contract::{CallIds, HandlerError, Invocation, Place, Reply, Witness};
use http::{HeaderMap, Method, Uri, Version};
use pyo3::{prelude::*, types::PyType};

use crate::{bell::BELL, ffi, output::Lines, pipe::Pipe};

/// One call. The thread that polls for the answer, the thread that runs the user code and the interrupter share it.
pub(crate) struct Call {
    /// Tells calls apart; never used twice.
    pub(crate) number: u64,
    pub(crate) request: Request,
    pub(crate) ids: CallIds,
    /// How the server learns where the call was when its time was over.
    pub(crate) witness: Witness,
    /// What the call has printed without ending the line.
    pub(crate) lines: Mutex<Lines>,
    progress: Mutex<Progress>,
    answer: Mutex<Answer>,
}

/// The request, as far as Python is told about it.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) remote: std::net::SocketAddr,
}

/// Where the user code of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In a queue.
    Waiting,
    /// On the thread that Python knows by this number.
    OnThread(c_ulong),
    /// A task of the event loop.
    OnLoop,
    /// Done, or never to be run.
    Over,
}

struct Progress {
    stage: Stage,
    /// Nobody waits for the answer any more.
    stop: bool,
    /// An exception was raised from outside in the thread that runs the call, and may not have struck yet.
    interrupted: bool,
    place: Option<Place>,
}

#[derive(Default)]
struct Answer {
    value: Option<Result<Answered, HandlerError>>,
    waker: Option<Waker>,
    pipe: Option<Arc<Pipe>>,
    place: Option<Place>,
}

/// The head of an answer, with its body unless that is streamed.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) pipe: Option<Arc<Pipe>>,
}

/// Data behind these locks stays consistent even if a thread panics while holding one: every change is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Call {
    pub(crate) fn new(invocation: Invocation) -> Result<(Arc<Self>, contract::Cancelled), HandlerError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let Invocation { method, uri, version, headers, body, remote, ids, cancel, place, .. } = invocation;
        let body = body.whole()?;
        let call = Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            request: Request { method, uri, version, headers, body, remote },
            ids,
            witness: cancel.witness(),
            lines: Mutex::default(),
            progress: Mutex::new(Progress {
                stage: Stage::Waiting,
                stop: false,
                interrupted: false,
                place: Some(place),
            }),
            answer: Mutex::default(),
        };
        Ok((Arc::new(call), cancel))
    }

    /// Where the user code is at this moment.
    pub(crate) fn stage(&self) -> Stage {
        lock(&self.progress).stage
    }

    /// Says where the user code runs from now on. `false` when the call is over already: it was cancelled while it
    /// waited.
    pub(crate) fn moves_to(&self, stage: Stage) -> bool {
        let mut progress = lock(&self.progress);
        let goes_on = progress.stage != Stage::Over;
        if goes_on {
            progress.stage = stage;
        }
        goes_on
    }

    /// Leaves the calling thread for another place to run. An interruption meant for the call must not strike what
    /// this thread does next.
    pub(crate) fn leaves(&self, py: Python<'_>, stage: Stage) {
        let mut progress = lock(&self.progress);
        if std::mem::take(&mut progress.interrupted) {
            ffi::raise_in(py, ffi::thread_ident(py), None);
        }
        progress.stage = stage;
    }

    /// Nobody waits for the answer any more. A call that still waits is over with that; `true` when user code has
    /// to be stopped.
    pub(crate) fn stop(&self) -> bool {
        let mut progress = lock(&self.progress);
        progress.stop = true;
        match progress.stage {
            Stage::Waiting => {
                drop(progress);
                self.fail(HandlerError::Stopped);
                false
            }
            Stage::OnThread(_) | Stage::OnLoop => true,
            Stage::Over => false,
        }
    }

    /// Whether [`stop`](Self::stop) was asked for.
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.progress).stop
    }

    /// Raises `exception` in the thread that runs this call, and in no other: the attached interpreter keeps that
    /// thread from going on to its next call meanwhile.
    pub(crate) fn interrupt(&self, exception: &Bound<'_, PyType>, loop_thread: Option<c_ulong>) {
        let mut progress = lock(&self.progress);
        let thread = match progress.stage {
            Stage::OnThread(ident) => Some(ident),
            Stage::OnLoop => loop_thread,
            Stage::Waiting | Stage::Over => None,
        };
        if let Some(ident) = thread {
            progress.interrupted = true;
            ffi::raise_in(exception.py(), ident, Some(exception));
        }
    }

    /// The user code is done, and this is its answer, or the end of a streamed one. Called by the thread that ran it,
    /// before that runs anything else.
    pub(crate) fn settle(&self, py: Python<'_>, result: Result<Reply, HandlerError>) {
        self.leaves(py, Stage::Over);
        self.finish(result);
    }

    /// The user code never ran, and never will.
    pub(crate) fn fail(&self, error: HandlerError) {
        lock(&self.progress).stage = Stage::Over;
        self.finish(Err(error));
    }

    fn finish(&self, result: Result<Reply, HandlerError>) {
        let place = lock(&self.progress).place.take();
        let mut answer = lock(&self.answer);
        match answer.pipe.clone() {
            Some(pipe) => {
                drop(answer);
                drop(place);
                pipe.end(result.map(drop));
            }
            None => {
                // Dropped by the thread that takes the answer: whoever waits for the place is woken there cheaply.
                answer.place = place;
                self.answer(answer, result.map(|reply| Answered { reply, pipe: None }));
            }
        }
    }

    /// Gives the head of an answer whose body follows through the pipe.
    pub(crate) fn begin_stream(&self, reply: Reply) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe::default());
        let mut answer = lock(&self.answer);
        answer.pipe = Some(pipe.clone());
        self.answer(answer, Ok(Answered { reply, pipe: Some(pipe.clone()) }));
        pipe
    }

    /// Whether the head of a streamed answer has been given.
    pub(crate) fn is_streaming(&self) -> bool {
        lock(&self.answer).pipe.is_some()
    }

    fn answer(&self, mut answer: MutexGuard<'_, Answer>, value: Result<Answered, HandlerError>) {
        answer.value = Some(value);
        let waker = answer.waker.take();
        drop(answer);
        if let Some(waker) = waker {
            BELL.ring(waker);
        }
    }

    /// The answer, once it is there.
    pub(crate) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Answered, HandlerError>> {
        BELL.answer();
        let mut answer = lock(&self.answer);
        if let Some(value) = answer.value.take() {
            let place = answer.place.take();
            drop(answer);
            drop(place);
            return Poll::Ready(value);
        }
        match &mut answer.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// A call in Python's hands: what the request object is built from and what the log finds the call by.
#[pyclass(frozen, name = "Call", module = "_funchost")]
pub(crate) struct CallObject(pub(crate) Arc<Call>);

#[pymethods]
impl CallObject {
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    /// The WSGI environment of the request.
    fn environ<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
        crate::convert::environ(py, &self.0.request)
    }
}
