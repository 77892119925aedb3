//! The event loop that `async def` handlers share, as the rest of the host sees it.
//!
//! Orders go through an inbox that needs no interpreter: a list and an `eventfd` that the loop watches. One wake-up
//! takes everything that has come meanwhile.

use std::{
    ffi::c_ulong,
    io,
    os::fd::{AsRawFd as _, RawFd},
    sync::{Arc, Mutex, OnceLock},
};

use contract::{HandlerError, Reply};
use nix::sys::eventfd::{EfdFlags, EventFd};
use pyo3::{
    intern,
    prelude::*,
    types::{PyList, PyTuple},
};

use crate::{
    call::{Call, CallObject, Stage, lock},
    convert::{Fault, Outcome, stream_piece},
    engine::Shared,
    ffi,
    pipe::{Next, Pipe},
    serve::number,
    worker::Job,
};

/// What the loop is asked to do.
enum Order {
    /// Run a call: the handler, or what a plain handler returned to be awaited.
    Run(Arc<Call>, Option<Py<PyAny>>),
    /// Cancel a call's task.
    Cancel(Arc<Call>),
    /// There is room in a call's pipe again.
    Room(Arc<Call>),
    /// Come to an end.
    Stop,
}

/// The way to the loop.
pub(crate) struct Inbox {
    orders: Mutex<Vec<Order>>,
    wake: EventFd,
    running: OnceLock<Running>,
}

/// The loop's thread and its Python half.
struct Running {
    thread: c_ulong,
    server: Py<PyAny>,
}

impl Running {
    fn task<'py>(&self, py: Python<'py>, call: &Call) -> PyResult<Bound<'py, PyAny>> {
        self.server.bind(py).getattr(intern!(py, "tasks"))?.get_item(call.number)
    }
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { orders: Mutex::default(), wake, running: OnceLock::new() })
    }

    /// Runs a call on the loop.
    pub(crate) fn run(&self, call: Arc<Call>, value: Option<Py<PyAny>>) {
        self.put(Order::Run(call, value));
    }

    pub(crate) fn stop(&self) {
        self.put(Order::Stop);
    }

    fn put(&self, order: Order) {
        let mut orders = lock(&self.orders);
        orders.push(order);
        let first = orders.len() == 1;
        drop(orders);
        if first {
            // It fails only when the counter is full, and then the loop is awake.
            let _ = self.wake.write(1);
        }
    }

    fn take(&self) -> Vec<Order> {
        // Before the list: an order that comes in between wakes the loop again.
        let _ = self.wake.read();
        std::mem::take(&mut *lock(&self.orders))
    }

    /// Stops a call that runs on the loop: as asyncio does, or from outside when it keeps the loop from doing so.
    pub(crate) fn interrupt(&self, py: Python<'_>, shared: &Shared, call: &Arc<Call>, attempt: u32) {
        let running = self.running.get();
        let is_running = || -> PyResult<bool> {
            let Some(running) = running else { return Ok(false) };
            let object = CallObject::wrap(py, call)?;
            running.server.bind(py).call_method1(intern!(py, "is_running"), (object,))?.is_truthy()
        };
        // What this raises, the next attempt will find again.
        let is_running = is_running().unwrap_or(false);
        if let Some(running) = running.filter(|_| attempt == 0) {
            if is_running {
                shared.tell_where(py, call, intern!(py, "of_thread"), number(py, running.thread));
            } else if let Ok(task) = running.task(py, call) {
                shared.tell_where(py, call, intern!(py, "of_task"), task);
            }
        }
        self.put(Order::Cancel(call.clone()));
        if let Some(running) = running.filter(|_| attempt > 0 && is_running) {
            call.interrupt(shared.errors.stopped(py), Some(running.thread));
        }
    }
}

/// Runs the loop in the calling thread until the inbox says stop.
pub(crate) fn run(py: Python<'_>, shared: &Arc<Shared>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    let runner = Bound::new(py, Runner(shared.clone()))?;
    let handler = shared.function.handler.bind(py);
    let server = module.getattr("Server")?.call1((runner, shared.printer.current(py), handler))?;
    let _ =
        shared.inbox.running.set(Running { thread: ffi::thread_ident(py), server: server.clone().unbind() });
    server.call_method0("run").map(drop)
}

/// The host's side of the loop's Python half, `event_loop.py`.
#[pyclass(frozen, module = "_funchost")]
struct Runner(Arc<Shared>);

#[pymethods]
impl Runner {
    /// Readable when there are orders.
    fn fileno(&self) -> RawFd {
        self.0.inbox.wake.as_raw_fd()
    }

    /// All orders that have come: name, call, value.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for order in self.0.inbox.take() {
            let (name, call, value) = match order {
                Order::Run(call, _) if !call.moves_to(Stage::OnLoop) => continue,
                Order::Run(call, value) => (intern!(py, "run"), Some(call), value),
                Order::Cancel(call) => (intern!(py, "cancel"), Some(call), None),
                Order::Room(call) => (intern!(py, "room"), Some(call), None),
                Order::Stop => (intern!(py, "stop"), None, None),
            };
            let call = call.map(|call| CallObject::wrap(py, &call)).transpose()?;
            list.append((name, call, value))?;
        }
        Ok(list)
    }

    /// The handler's arguments; `None` when the request has been answered instead.
    fn arguments<'py>(
        &self,
        py: Python<'py>,
        call: &Bound<'py, CallObject>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.0.function.arguments.of(py, call) {
            Ok((event, context)) => Ok(Some((event, context).into_pyobject(py)?)),
            Err(Fault::Raised(error)) => Err(error),
            Err(Fault::Known(error)) => {
                self.0.settle(py, &call.get().0, Err(error));
                Ok(None)
            }
        }
    }

    /// Answers with what the handler returned. A sink comes back where an asynchronous iterator makes the body.
    fn reply(&self, call: &Bound<'_, CallObject>, value: &Bound<'_, PyAny>) -> Option<Sink> {
        self.conclude(value.py(), &call.get().0, self.0.function.replies.of(value))
    }

    /// Answers with an exception.
    fn failed(&self, call: &Bound<'_, CallObject>, error: Bound<'_, PyAny>) {
        let py = error.py();
        let call = &call.get().0;
        let error = PyErr::from_value(error);
        let cancelled = || error.get_type(py).name().is_ok_and(|name| name == "CancelledError");
        if call.is_stopped() && cancelled() {
            self.0.settle(py, call, Err(HandlerError::Stopped));
        } else if call.stage() == Stage::Over {
            // Answered already; what follows is noise of the task being taken down.
        } else if call.is_streaming() {
            let error = self.0.errors.handler_error(py, error.into());
            self.0.settle(py, call, Err(error));
        } else {
            let outcome = self.0.answer_of(py, error);
            self.conclude(py, call, outcome);
        }
    }

    /// The task has ended, whatever way. Most calls are over by then.
    fn over(&self, py: Python<'_>, call: &Bound<'_, CallObject>) {
        let call = &call.get().0;
        if call.stage() == Stage::OnLoop {
            let problem = "its task ended without an answer".to_owned();
            self.0.settle(py, call, Err(HandlerError::Lost(problem)));
        }
    }

    /// Reports an error that no call can answer for.
    fn stray(&self, error: Bound<'_, PyAny>, call: Option<&Bound<'_, PyAny>>) {
        let py = error.py();
        let failure = self.0.errors.failure(py, &PyErr::from_value(error));
        let call = call.and_then(|call| call.cast::<CallObject>().ok());
        self.0.printer.stray(py, &failure, call.map(|call| &*call.get().0));
    }
}

impl Runner {
    fn conclude(&self, py: Python<'_>, call: &Arc<Call>, outcome: Result<Outcome, Fault>) -> Option<Sink> {
        match outcome {
            Ok(Outcome::Whole(reply)) => self.0.settle(py, call, Ok(reply)),
            // What blocks between two pieces must not block the loop.
            Ok(Outcome::Stream(head, source)) => {
                call.leaves(py, Stage::Waiting);
                self.0.submit(Job::Stream(call.clone(), head, source));
            }
            Ok(Outcome::AsyncStream(head, source)) => {
                let (shared, call) = (self.0.clone(), call.clone());
                return Some(Sink {
                    shared,
                    call,
                    head: Mutex::new(Some(head)),
                    pipe: OnceLock::new(),
                    source,
                });
            }
            Ok(Outcome::Awaitable) => {
                let error = HandlerError::BadReply("it is a coroutine; was an await forgotten?".to_owned());
                self.0.settle(py, call, Err(error));
            }
            Err(fault) => {
                let error = self.0.errors.handler_error(py, fault);
                self.0.settle(py, call, Err(error));
            }
        }
        None
    }
}

/// Takes the pieces of a body that an asynchronous iterator makes.
#[pyclass(frozen, module = "_funchost")]
struct Sink {
    shared: Arc<Shared>,
    call: Arc<Call>,
    /// Sent with the first piece, so that what fails before that is still answered as an error.
    head: Mutex<Option<Reply>>,
    pipe: OnceLock<Arc<Pipe>>,
    #[pyo3(get)]
    source: Py<PyAny>,
}

#[pymethods]
impl Sink {
    /// Sends a piece; false when there is no room for another one.
    fn write(&self, piece: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = piece.py();
        let bytes = match stream_piece(piece) {
            Ok(bytes) if bytes.is_empty() => return Ok(true),
            Ok(bytes) => bytes,
            Err(Fault::Raised(error)) => return Err(error),
            Err(Fault::Known(error)) => {
                self.shared.settle(py, &self.call, Err(error));
                return Err(self.stopped(py));
            }
        };
        let head = || lock(&self.head).take().unwrap_or_default();
        match self.pipe.get_or_init(|| self.call.begin_stream(head())).write(bytes) {
            Next::Write => Ok(true),
            Next::Wait => Ok(false),
            Next::Stop => Err(self.stopped(py)),
        }
    }

    /// Asks for an order when there is room; false when there is room already.
    fn wait(&self) -> bool {
        let (shared, call) = (self.shared.clone(), self.call.clone());
        self.pipe.get().is_some_and(|pipe| pipe.when_room(move || shared.inbox.put(Order::Room(call))))
    }

    /// All pieces have been sent.
    fn end(&self, py: Python<'_>) {
        let head = lock(&self.head).take().unwrap_or_default();
        self.shared.settle(py, &self.call, Ok(head));
    }
}

impl Sink {
    fn stopped(&self, py: Python<'_>) -> PyErr {
        PyErr::from_type(self.shared.errors.stopped(py).clone(), ())
    }
}
