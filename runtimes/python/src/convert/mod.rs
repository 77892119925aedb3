//! From an invocation to Python's arguments, and from what Python returns to a reply.
//!
//! How a function is called is chosen once, when it is loaded. There is one way so far, that of Kubeless:
//! `handler(event, context)`.

mod environ;
mod event;
mod reply;
mod stream;

use contract::HandlerError;
use pyo3::{prelude::*, types::PyDict};

pub(crate) use environ::environ;
pub(crate) use event::Arguments;
pub(crate) use reply::{Outcome, Replies};
pub(crate) use stream::{Source, piece as stream_piece};

/// What can go wrong on the way: an exception, or something that Python has no exception for.
#[derive(Debug)]
pub(crate) enum Fault {
    /// User code raised, or the conversion did on its behalf.
    Raised(PyErr),
    /// Known in the contract's own words.
    Known(HandlerError),
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<HandlerError> for Fault {
    fn from(error: HandlerError) -> Self {
        Self::Known(error)
    }
}

/// The loaded function and how it is called.
pub(crate) struct Function {
    pub(crate) handler: Py<PyAny>,
    /// Calling the handler gives something to be awaited: the call belongs on the event loop from the start.
    pub(crate) is_async: bool,
    pub(crate) arguments: Arguments,
    pub(crate) replies: Replies,
}

/// The two arguments of a Kubeless function.
pub(crate) type EventAndContext<'py> = (Bound<'py, PyDict>, Bound<'py, PyDict>);
