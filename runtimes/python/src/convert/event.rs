//! The arguments: event and context, with the names of Kubeless' Python runtime.

use std::sync::Arc;

use contract::{
    Context, DataKind, HandlerError,
    event::{EVENT_ID, EVENT_NAMESPACE, EVENT_TIME, EVENT_TYPE},
};
use http::HeaderValue;
use pyo3::{
    exceptions::{PyRecursionError, PyValueError},
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyString, PyType},
};

use super::{EventAndContext, Fault};
use crate::{
    call::{Call, CallObject, Request},
    ffi,
};

/// Makes the arguments of each call.
pub(crate) struct Arguments {
    /// An event with all its keys, to be copied: that is cheaper than adding them one by one.
    event: Py<PyDict>,
    context: Py<PyDict>,
    /// The class of `event['extensions']['request']`: a placeholder that becomes a Bottle request when touched.
    request: Py<PyType>,
    json_loads: Py<PyAny>,
}

impl Arguments {
    /// `function_name` is what the handler calls itself.
    pub(crate) fn new(
        py: Python<'_>,
        function_name: &str,
        context: &Context,
        request: Bound<'_, PyType>,
    ) -> PyResult<Self> {
        let event = PyDict::new(py);
        for key in ["data", "event-id", "event-type", "event-time", "event-namespace", "extensions"] {
            event.set_item(PyString::intern(py, key), py.None())?;
        }
        let told = PyDict::new(py);
        told.set_item(PyString::intern(py, "function-name"), function_name)?;
        told.set_item(PyString::intern(py, "timeout"), context.timeout.as_secs_f64())?;
        told.set_item(PyString::intern(py, "runtime"), context.runtime.as_deref())?;
        told.set_item(PyString::intern(py, "memory-limit"), context.memory_limit.as_deref())?;
        let json_loads = py.import("json")?.getattr("loads")?.unbind();
        Ok(Self { event: event.unbind(), context: told.unbind(), request: request.unbind(), json_loads })
    }

    /// Fresh dictionaries for one call; a function may change them as it likes.
    pub(crate) fn of<'py>(
        &self,
        py: Python<'py>,
        call: &Bound<'py, CallObject>,
    ) -> Result<EventAndContext<'py>, Fault> {
        let request = &call.get().0.request;
        let event = self.event.bind(py).copy()?;
        event.set_item(intern!(py, "data"), self.data(py, request)?)?;
        let headers = [
            (&EVENT_ID, intern!(py, "event-id")),
            (&EVENT_TYPE, intern!(py, "event-type")),
            (&EVENT_TIME, intern!(py, "event-time")),
            (&EVENT_NAMESPACE, intern!(py, "event-namespace")),
        ];
        for (name, key) in headers {
            if let Some(value) = request.headers.get(name) {
                event.set_item(key, latin1(py, value))?;
            }
        }
        let placeholder = ffi::instance_with(self.request.bind(py), intern!(py, "environ"), call.as_any())?;
        let extensions = PyDict::new(py);
        extensions.set_item(intern!(py, "request"), placeholder)?;
        event.set_item(intern!(py, "extensions"), extensions)?;
        Ok((event, self.context.bind(py).copy()?))
    }

    fn data<'py>(&self, py: Python<'py>, request: &Request) -> Result<Bound<'py, PyAny>, Fault> {
        let body = &*request.body;
        if DataKind::of(&request.headers) != DataKind::Json {
            return Ok(PyBytes::new(py, body).into_any());
        }
        if body.is_empty() {
            return Ok(py.None().into_bound(py));
        }
        // Text saves `json.loads` its search for the encoding. What may be UTF-16 or UTF-32 holds zeros.
        let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0'));
        let loads = self.json_loads.bind(py);
        let parsed = match text {
            Some(text) if !text.starts_with('\u{feff}') => loads.call1((text,)),
            _ => loads.call1((PyBytes::new(py, body),)),
        };
        parsed.map_err(|error| {
            let malformed =
                error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py);
            if malformed {
                Fault::Known(HandlerError::BadData(error.value(py).to_string()))
            } else {
                Fault::Raised(error)
            }
        })
    }
}

/// A header's value as WSGI has it: every byte a character.
pub(super) fn latin1<'py>(py: Python<'py>, value: &HeaderValue) -> Bound<'py, PyString> {
    match value.to_str() {
        Ok(ascii) => PyString::new(py, ascii),
        Err(_) => PyString::new(py, &widen(value.as_bytes())),
    }
}

/// Bytes as Latin-1 text.
pub(super) fn widen(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

impl CallObject {
    /// Wraps a call for Python.
    pub(crate) fn wrap<'py>(py: Python<'py>, call: &Arc<Call>) -> PyResult<Bound<'py, Self>> {
        Bound::new(py, Self(call.clone()))
    }
}
