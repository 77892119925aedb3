//! Bodies that user code makes piece by piece: iterators, generators, file objects.

use bytes::Bytes;
use contract::HandlerError;
use pyo3::{
    intern,
    prelude::*,
    types::{PyByteArray, PyBytes, PyIterator, PyMemoryView, PyString},
};

use super::Fault;

/// How much of a file is read at once.
const BLOCK: usize = 64 * 1024;

/// Where the pieces of a body come from.
pub(crate) enum Source {
    /// `next()` gives them.
    Iterator {
        pieces: Py<PyIterator>,
        /// What was iterated over: it may have a `close` that its iterator has not.
        owner: Py<PyAny>,
    },
    /// `read()` gives them.
    File(Py<PyAny>),
}

impl Source {
    /// A source for what has `read` or can be iterated over.
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = value.py();
        if value.hasattr(intern!(py, "read"))? {
            return Ok(Some(Self::File(value.clone().unbind())));
        }
        let class = value.get_type();
        if !class.hasattr(intern!(py, "__iter__"))? && !class.hasattr(intern!(py, "__getitem__"))? {
            return Ok(None);
        }
        Ok(Some(Self::Iterator { pieces: value.try_iter()?.unbind(), owner: value.clone().unbind() }))
    }

    /// The next piece that is not empty; `None` at the end.
    pub(crate) fn next(&self, py: Python<'_>) -> Result<Option<Bytes>, Fault> {
        loop {
            let next = match self {
                Self::File(file) => Some(file.bind(py).call_method1(intern!(py, "read"), (BLOCK,))?),
                Self::Iterator { pieces, .. } => pieces.bind(py).clone().next().transpose()?,
            };
            let Some(next) = next else { return Ok(None) };
            let bytes = piece(&next)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
            if matches!(self, Self::File(_)) {
                return Ok(None);
            }
        }
    }

    /// Tells user code that no more pieces are wanted.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let (Self::File(owner) | Self::Iterator { owner, .. }) = self;
        match owner.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

/// A piece of a streamed body, text or bytes.
pub(crate) fn piece(value: &Bound<'_, PyAny>) -> Result<Bytes, Fault> {
    match plain(value)? {
        Some(bytes) => Ok(bytes),
        None => {
            let kind = super::reply::type_name(value);
            Err(HandlerError::BadReply(format!("it yields a {kind}; allowed: str, bytes")).into())
        }
    }
}

/// Text as UTF-8, or bytes; `None` for everything else.
pub(super) fn plain(value: &Bound<'_, PyAny>) -> Result<Option<Bytes>, Fault> {
    let py = value.py();
    let bytes = if let Ok(text) = value.cast::<PyString>() {
        Bytes::copy_from_slice(text.to_str()?.as_bytes())
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Bytes::copy_from_slice(bytes.as_bytes())
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        Bytes::from(bytes.to_vec())
    } else if value.cast::<PyMemoryView>().is_ok() {
        let copied = value.call_method0(intern!(py, "tobytes"))?;
        Bytes::copy_from_slice(copied.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes())
    } else {
        return Ok(None);
    };
    Ok(Some(bytes))
}
