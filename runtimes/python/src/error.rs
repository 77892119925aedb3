//! Exceptions in the contract's words.

use contract::{Failure, HandlerError};
use pyo3::{prelude::*, types::PyType};

use crate::convert::Fault;

/// Describes exceptions.
pub(crate) struct Errors {
    describe: Py<PyAny>,
    /// The exception that interrupts a handler.
    stopped: Py<PyType>,
}

impl Errors {
    /// From the Python half, `errors.py`.
    pub(crate) fn new(module: &Bound<'_, PyModule>) -> PyResult<Self> {
        let stopped = module.getattr("Stopped")?.cast_into::<PyType>()?;
        Ok(Self { describe: module.getattr("describe")?.unbind(), stopped: stopped.unbind() })
    }

    /// What is raised in a handler to interrupt it.
    pub(crate) fn stopped<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.stopped.bind(py)
    }

    /// Whether an exception is an interruption of ours.
    pub(crate) fn is_stopped(&self, error: &PyErr, py: Python<'_>) -> bool {
        error.is_instance(py, self.stopped.bind(py))
    }

    /// Why a call brought no reply.
    pub(crate) fn handler_error(&self, py: Python<'_>, fault: Fault) -> HandlerError {
        match fault {
            Fault::Known(error) => error,
            Fault::Raised(error) if self.is_stopped(&error, py) => HandlerError::Stopped,
            Fault::Raised(error) => HandlerError::Raised(self.failure(py, &error)),
        }
    }

    /// The report of an exception. Describing runs user code, such as an exception's own `__str__`; when that fails
    /// as well, the type is left to tell.
    pub(crate) fn failure(&self, py: Python<'_>, error: &PyErr) -> Failure {
        // With its traceback, which older versions keep apart from the exception.
        let value = error.clone_ref(py).into_value(py);
        let described = self.describe.bind(py).call1((value,));
        match described.and_then(|parts| parts.extract::<(Printable, Printable, Printable)>()) {
            Ok((Printable(kind), Printable(message), Printable(stack))) => Failure { kind, message, stack },
            Err(_) => Failure {
                kind: error
                    .get_type(py)
                    .name()
                    .map_or_else(|_| "exception".to_owned(), |name| name.to_string()),
                message: "the exception cannot be described".to_owned(),
                stack: String::new(),
            },
        }
    }
}

/// Text that may hold lone surrogates, which have no UTF-8.
struct Printable(String);

impl FromPyObject<'_, '_> for Printable {
    type Error = PyErr;

    fn extract(text: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Self(text.cast::<pyo3::types::PyString>()?.to_string_lossy().into_owned()))
    }
}
