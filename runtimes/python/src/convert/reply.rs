//! From what a function returns to a reply, by the rules of Kubeless' Python runtime, which are Bottle's.

use bytes::Bytes;
use contract::{HandlerError, Reply};
use http::{HeaderValue, header};
use pyo3::{
    intern,
    prelude::*,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};

use super::{
    Fault,
    stream::{Source, plain},
};

/// Plain text is HTML to Bottle, and so to every function written for Kubeless.
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a function's return value means.
pub(crate) enum Outcome {
    /// A whole answer.
    Whole(Reply),
    /// An answer whose body is made piece by piece.
    Stream(Reply, Source),
    /// An answer whose body an asynchronous iterator makes.
    AsyncStream(Reply, Py<PyAny>),
    /// Not an answer yet: it has to be awaited, on the event loop.
    Awaitable,
}

/// Makes replies.
pub(crate) struct Replies {
    json_dumps: Py<PyAny>,
    /// Takes a Bottle response apart; gives `None` for what is none.
    bottle_response: Py<PyAny>,
}

/// Status and headers that the function chose, before the body is known.
#[derive(Default)]
struct Head {
    reply: Reply,
    chosen: bool,
}

impl Head {
    fn with(mut self, body: Bytes, media_type: HeaderValue) -> Outcome {
        // A response object comes with all the headers it wants.
        if !self.chosen {
            self.reply.headers.insert(header::CONTENT_TYPE, media_type);
        }
        self.reply.body = body.into();
        Outcome::Whole(self.reply)
    }

    fn streamed(mut self) -> Reply {
        if !self.chosen {
            self.reply.headers.insert(header::CONTENT_TYPE, HTML);
        }
        self.reply
    }

    fn json(mut self, text: Bytes) -> Outcome {
        self.reply.headers.insert(header::CONTENT_TYPE, JSON);
        self.reply.body = text.into();
        Outcome::Whole(self.reply)
    }
}

impl Replies {
    pub(crate) fn new(py: Python<'_>, bottle_response: Py<PyAny>) -> PyResult<Self> {
        let json_dumps = py.import("json")?.getattr("dumps")?.unbind();
        Ok(Self { json_dumps, bottle_response })
    }

    /// What `value` means.
    pub(crate) fn of(&self, value: &Bound<'_, PyAny>) -> Result<Outcome, Fault> {
        self.with_head(Head::default(), value)
    }

    /// An exception that is an answer: Bottle's responses may be raised.
    pub(crate) fn of_exception(&self, error: &Bound<'_, PyAny>) -> Result<Option<Outcome>, Fault> {
        match self.response(error)? {
            Some((head, body)) => self.with_head(head, &body).map(Some),
            None => Ok(None),
        }
    }

    fn with_head(&self, head: Head, value: &Bound<'_, PyAny>) -> Result<Outcome, Fault> {
        if let Some(bytes) = plain(value)? {
            return Ok(head.with(bytes, HTML));
        }
        if value.is_none() {
            return Ok(head.with(Bytes::new(), HTML));
        }
        if value.cast::<PyDict>().is_ok() {
            return Ok(head.json(self.json(value)?));
        }
        if let Some(items) = sequence(value) {
            return self.of_items(head, value, &items);
        }
        if is_number(value) {
            return match value.is_truthy()? {
                true => Ok(head.json(self.json(value)?)),
                false => Ok(head.with(Bytes::new(), HTML)),
            };
        }
        self.of_object(head, value)
    }

    /// Lists: text and bytes are joined, anything else is data.
    fn of_items(
        &self,
        head: Head,
        value: &Bound<'_, PyAny>,
        items: &[Bound<'_, PyAny>],
    ) -> Result<Outcome, Fault> {
        let all_text = items.iter().all(|item| item.is_instance_of::<PyString>());
        if all_text || items.iter().all(|item| item.is_instance_of::<PyBytes>()) {
            let pieces: Vec<_> = items.iter().map(plain).collect::<Result<_, _>>()?;
            let joined: Vec<u8> = pieces.iter().flatten().flat_map(|piece| piece.iter().copied()).collect();
            return Ok(head.with(joined.into(), HTML));
        }
        Ok(head.json(self.json(value)?))
    }

    /// Everything that is more than data.
    fn of_object(&self, head: Head, value: &Bound<'_, PyAny>) -> Result<Outcome, Fault> {
        let py = value.py();
        if let Some((head, body)) = self.response(value)? {
            return self.with_head(head, &body);
        }
        if value.get_type().hasattr(intern!(py, "__await__"))? {
            return Ok(Outcome::Awaitable);
        }
        if value.get_type().hasattr(intern!(py, "__aiter__"))? {
            return Ok(Outcome::AsyncStream(head.streamed(), value.clone().unbind()));
        }
        // Objects may refuse to be true or false, as arrays do; they are not empty then.
        if matches!(value.is_truthy(), Ok(false)) {
            return Ok(head.with(Bytes::new(), HTML));
        }
        match Source::of(value)? {
            Some(source) => Ok(Outcome::Stream(head.streamed(), source)),
            None => Err(HandlerError::BadReply(format!(
                "it is a {}; allowed: str, bytes, dict, list, number, None, an iterable of str or bytes, a file, a \
                 bottle.HTTPResponse",
                type_name(value)
            ))
            .into()),
        }
    }

    fn json(&self, value: &Bound<'_, PyAny>) -> Result<Bytes, Fault> {
        let text = self.json_dumps.bind(value.py()).call1((value,)).map_err(|error| {
            let py = value.py();
            let plain_fault = error.is_instance_of::<pyo3::exceptions::PyTypeError>(py)
                || error.is_instance_of::<pyo3::exceptions::PyValueError>(py);
            if plain_fault {
                let reason = error.value(py).str().map_or_else(|_| String::new(), |text| text.to_string());
                Fault::Known(HandlerError::BadReply(format!("{} as JSON: {reason}", type_name(value))))
            } else {
                Fault::Raised(error)
            }
        })?;
        Ok(plain(&text)?.unwrap_or_default())
    }

    /// Status, headers and body of a Bottle response.
    fn response<'py>(&self, value: &Bound<'py, PyAny>) -> Result<Option<(Head, Bound<'py, PyAny>)>, Fault> {
        type Parts<'py> = (i64, Vec<(Vec<u8>, Vec<u8>)>, Bound<'py, PyAny>);
        let parts = self.bottle_response.bind(value.py()).call1((value,))?;
        if parts.is_none() {
            return Ok(None);
        }
        let (status, headers, body): Parts<'py> = parts.extract()?;
        let mut reply = Reply::default();
        reply.set_status(status)?;
        for (name, value) in headers {
            reply.append_header(&name, &value)?;
        }
        Ok(Some((Head { reply, chosen: true }, body)))
    }
}

fn is_number(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyBool>() || value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>()
}

fn sequence<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(list) = value.cast::<PyList>() {
        return Some(list.iter().collect());
    }
    value.cast::<PyTuple>().ok().map(|tuple| tuple.iter().collect())
}

/// The type of a value for a message.
pub(super) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().fully_qualified_name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}
