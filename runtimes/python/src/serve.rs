//! Serving one call: from the handler's arguments to its answer or the end of its stream.

use std::sync::Arc;

use contract::{HandlerError, Reply};
use pyo3::{intern, prelude::*, types::PyString};

use crate::{
    call::{Call, CallObject, Stage},
    convert::{Fault, Outcome, Source},
    engine::Shared,
    ffi,
    pipe::Next,
};

impl Shared {
    /// Runs a call on the event loop, which is started by the first one.
    pub(crate) fn run_on_loop(&self, call: Arc<Call>, value: Option<Py<PyAny>>) {
        self.interpreter.start_loop();
        self.inbox.run(call, value);
    }

    /// Runs a call on this thread, to its end or until it moves to the event loop.
    pub(crate) fn serve(self: &Arc<Self>, py: Python<'_>, call: &Arc<Call>) {
        self.on_this_thread(py, call, |object| {
            let outcome = self.call_handler(py, object);
            self.conclude(py, call, outcome);
        });
    }

    /// Makes the body of a call whose handler has returned already.
    pub(crate) fn serve_stream(
        self: &Arc<Self>,
        py: Python<'_>,
        call: &Arc<Call>,
        head: Reply,
        source: &Source,
    ) {
        self.on_this_thread(py, call, |_| self.pump(py, call, head, source));
    }

    /// Runs user code of a call with everything around it that tells the call from others: its interruptions, its
    /// output, its context variables.
    fn on_this_thread(&self, py: Python<'_>, call: &Arc<Call>, run: impl FnOnce(&Bound<'_, CallObject>)) {
        if !call.moves_to(Stage::OnThread(ffi::thread_ident(py))) {
            return;
        }
        self.printer.thread_runs(Some(call.clone()));
        let entered = CallObject::wrap(py, call).and_then(|object| {
            let context = ffi::CallContext::enter(self.printer.current(py), object.as_any())?;
            Ok((object, context))
        });
        match entered {
            Ok((object, context)) => {
                run(&object);
                context.leave();
            }
            Err(error) => self.settle(py, call, Err(self.errors.handler_error(py, error.into()))),
        }
        self.printer.thread_runs(None);
    }

    fn call_handler(&self, py: Python<'_>, call: &Bound<'_, CallObject>) -> Result<Returned, Fault> {
        let arguments = self.function.arguments.of(py, call)?;
        match self.function.handler.bind(py).call1(arguments) {
            Ok(value) => match self.function.replies.of(&value)? {
                // Goes on where awaiting is possible, with the value as it was returned.
                Outcome::Awaitable | Outcome::AsyncStream(..) => Ok(Returned::ForTheLoop(value.unbind())),
                outcome => Ok(Returned::Here(outcome)),
            },
            Err(error) => self.answer_of(py, error).map(Returned::Here),
        }
    }

    /// What an exception means: an answer when it is one of Bottle's responses, a failure otherwise.
    pub(crate) fn answer_of(&self, py: Python<'_>, error: PyErr) -> Result<Outcome, Fault> {
        if self.errors.is_stopped(&error, py) {
            return Err(error.into());
        }
        match self.function.replies.of_exception(error.value(py).as_any())? {
            Some(outcome) => Ok(outcome),
            None => Err(error.into()),
        }
    }

    fn conclude(self: &Arc<Self>, py: Python<'_>, call: &Arc<Call>, returned: Result<Returned, Fault>) {
        match returned {
            Ok(Returned::Here(outcome)) => self.conclude_here(py, call, outcome),
            Ok(Returned::ForTheLoop(value)) => {
                call.leaves(py, Stage::Waiting);
                self.run_on_loop(call.clone(), Some(value));
            }
            Err(fault) => {
                let error = self.errors.handler_error(py, fault);
                self.settle(py, call, Err(error));
            }
        }
    }

    fn conclude_here(self: &Arc<Self>, py: Python<'_>, call: &Arc<Call>, outcome: Outcome) {
        match outcome {
            Outcome::Whole(reply) => self.settle(py, call, Ok(reply)),
            Outcome::Stream(head, source) => self.pump(py, call, head, &source),
            Outcome::AsyncStream(..) | Outcome::Awaitable => {
                let problem = "an exception cannot be answered with something to be awaited";
                self.settle(py, call, Err(HandlerError::BadReply(problem.to_owned())));
            }
        }
    }

    /// Sends what an iterator gives. The head goes with the first piece, so that what fails before that is still
    /// answered as an error.
    fn pump(self: &Arc<Self>, py: Python<'_>, call: &Arc<Call>, head: Reply, source: &Source) {
        let first = match source.next(py) {
            Ok(first) => first,
            Err(fault) => {
                self.close(py, call, source);
                let outcome = match fault {
                    Fault::Raised(error) => self.answer_of(py, error),
                    known => Err(known),
                };
                return match outcome {
                    Ok(Outcome::Stream(..)) => {
                        let problem = "a generator raised a response whose body is a generator";
                        self.settle(py, call, Err(HandlerError::BadReply(problem.to_owned())));
                    }
                    outcome => self.conclude(py, call, outcome.map(Returned::Here)),
                };
            }
        };
        let Some(first) = first else {
            self.close(py, call, source);
            return self.settle(py, call, Ok(head));
        };
        let pipe = call.begin_stream(head);
        let mut next = pipe.write(first);
        let end = loop {
            let goes_on = match next {
                Next::Write => true,
                Next::Wait => py.detach(|| pipe.wait_for_room()),
                Next::Stop => false,
            };
            if !goes_on {
                break Ok(());
            }
            match source.next(py) {
                Ok(Some(piece)) => next = pipe.write(piece),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(self.errors.handler_error(py, fault)),
            }
        };
        self.close(py, call, source);
        self.settle(py, call, end.map(|()| Reply::default()));
    }

    fn close(&self, py: Python<'_>, call: &Arc<Call>, source: &Source) {
        if let Err(error) = source.close(py)
            && !self.errors.is_stopped(&error, py)
        {
            self.printer.stray(py, &self.errors.failure(py, &error), Some(call));
        }
    }

    /// The call's user code is done: what it printed goes out, it is answered, or its stream comes to an end.
    pub(crate) fn settle(&self, py: Python<'_>, call: &Call, result: Result<Reply, HandlerError>) {
        self.printer.finish(call);
        call.settle(py, result);
    }

    /// Interrupts a call that nobody waits for. Called by the interrupter's thread.
    pub(crate) fn interrupt(&self, call: &Arc<Call>, attempt: u32) {
        Python::attach(|py| match call.stage() {
            Stage::OnThread(thread) => {
                if attempt == 0 {
                    self.tell_where(py, call, intern!(py, "of_thread"), number(py, thread));
                }
                call.interrupt(self.errors.stopped(py), None);
            }
            Stage::OnLoop => self.inbox.interrupt(py, self, call, attempt),
            Stage::Waiting | Stage::Over => {}
        });
    }

    /// Tells the server where a call that has to be stopped is.
    pub(crate) fn tell_where<'py>(
        &self,
        py: Python<'py>,
        call: &Call,
        of: &Bound<'py, PyString>,
        what: Bound<'py, PyAny>,
    ) {
        // Without an answer the log line has no stack; there is nothing else to be done about an error here.
        let told = self.stack.bind(py).call_method1(of, (what,)).ok();
        if let Some(stack) = told.and_then(|told| told.extract::<String>().ok()) {
            call.witness.tell(stack, true);
        }
    }
}

/// What calling the handler has brought.
enum Returned {
    /// Something that this thread can answer with.
    Here(Outcome),
    /// Something that only the event loop can deal with.
    ForTheLoop(Py<PyAny>),
}

/// A number in Python's hands.
pub(crate) fn number(py: Python<'_>, number: std::ffi::c_ulong) -> Bound<'_, PyAny> {
    match number.into_pyobject(py) {
        Ok(number) => number.into_any(),
        Err(never) => match never {},
    }
}
