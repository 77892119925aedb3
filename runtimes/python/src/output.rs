//! What the function prints: whole lines, each with the call that wrote it.

use std::{cell::RefCell, mem, sync::Arc};

use contract::{CallIds, Failure, Output, OutputLine, OutputStream};
use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    types::{PyBytes, PyMemoryView, PyString},
};

use crate::{
    call::{Call, CallObject, lock},
    ffi,
};

/// What has been written without a newline so far, on both streams.
#[derive(Default)]
pub(crate) struct Lines {
    out: contract::output::Lines,
    err: contract::output::Lines,
}

impl Lines {
    fn of(&mut self, stream: OutputStream) -> &mut contract::output::Lines {
        match stream {
            OutputStream::Stdout => &mut self.out,
            OutputStream::Stderr => &mut self.err,
        }
    }
}

/// The way to the log, and how to find the call that a piece of output belongs to.
pub(crate) struct Printer {
    output: Arc<dyn Output>,
    /// The `ContextVar` that holds the [`CallObject`] in tasks, and in threads that run in a copied context.
    current: Py<PyAny>,
}

thread_local! {
    /// The call whose user code this thread runs.
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
    /// What threads without a call have begun to write. Threads of user code end; what is left goes out then.
    static LOOSE: RefCell<Loose> = const { RefCell::new(Loose(None)) };
}

#[derive(Default)]
struct Loose(Option<(Lines, Arc<dyn Output>)>);

impl Drop for Loose {
    fn drop(&mut self) {
        if let Some((mut lines, output)) = self.0.take() {
            flush(&mut lines, &*output, None);
        }
    }
}

impl Printer {
    pub(crate) fn new(output: Arc<dyn Output>, current: Py<PyAny>) -> Self {
        Self { output, current }
    }

    /// The variable that tells tasks which call they belong to.
    pub(crate) fn current<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.current.bind(py)
    }

    /// Says which call this thread runs from now on.
    pub(crate) fn thread_runs(&self, call: Option<Arc<Call>>) {
        CURRENT.set(call);
    }

    /// Writes out what `call` has left without a newline.
    pub(crate) fn finish(&self, call: &Call) {
        let mut lines = mem::take(&mut *lock(&call.lines));
        flush(&mut lines, &*self.output, Some(&call.ids));
    }

    /// Writes out what the calling thread has left outside of any call.
    pub(crate) fn finish_thread(&self) {
        drop(LOOSE.take());
    }

    /// Reports an error that no reply can carry.
    pub(crate) fn stray(&self, py: Python<'_>, failure: &Failure, call: Option<&Call>) {
        let found = if call.is_some() { None } else { self.call_here(py) };
        let ids = call.or(found.as_deref()).map(|call| &call.ids);
        self.output.stray_failure(failure, ids);
    }

    fn write(&self, py: Python<'_>, stream: OutputStream, bytes: &[u8]) {
        match self.call_here(py) {
            Some(call) => {
                let line = |line: &[u8]| print(&*self.output, stream, line, Some(&call.ids));
                lock(&call.lines).of(stream).write(bytes, line);
            }
            None => LOOSE.with_borrow_mut(|loose| {
                let (lines, output) = loose.0.get_or_insert_with(|| (Lines::default(), self.output.clone()));
                lines.of(stream).write(bytes, |line| print(&**output, stream, line, None));
            }),
        }
    }

    fn call_here(&self, py: Python<'_>) -> Option<Arc<Call>> {
        CURRENT.with_borrow(Clone::clone).or_else(|| {
            let value = ffi::context_value(self.current.bind(py))?;
            Some(value.cast::<CallObject>().ok()?.get().0.clone())
        })
    }
}

fn print(output: &dyn Output, stream: OutputStream, line: &[u8], call: Option<&CallIds>) {
    output.line(OutputLine { stream, text: &String::from_utf8_lossy(line), call });
}

fn flush(lines: &mut Lines, output: &dyn Output, call: Option<&CallIds>) {
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        lines.of(stream).finish(|left| print(output, stream, left, call));
    }
}

/// The native half of `sys.stdout` and `sys.stderr`.
#[pyclass(frozen, module = "_funchost")]
pub(crate) struct Writer {
    pub(crate) printer: Arc<Printer>,
    pub(crate) stream: OutputStream,
}

#[pymethods]
impl Writer {
    /// Writes text; gives the number of characters, as `TextIOBase.write` does.
    fn write(&self, text: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = text.py();
        let Ok(text) = text.cast::<PyString>() else {
            let kind = text.get_type().name()?;
            return Err(PyTypeError::new_err(format!("write() argument must be str, not {kind}")));
        };
        match text.to_str() {
            Ok(utf8) => self.printer.write(py, self.stream, utf8.as_bytes()),
            // Lone surrogates have no UTF-8; printing is no place to fail.
            Err(_) => {
                let encoded = text.call_method1(intern!(py, "encode"), ("utf-8", "backslashreplace"))?;
                self.printer.write(py, self.stream, encoded.cast::<PyBytes>()?.as_bytes());
            }
        }
        text.len()
    }

    /// Writes bytes; gives their number, as `BufferedIOBase.write` does.
    fn write_bytes(&self, bytes: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = bytes.py();
        if let Ok(bytes) = bytes.cast::<PyBytes>() {
            self.printer.write(py, self.stream, bytes.as_bytes());
            return Ok(bytes.as_bytes().len());
        }
        let copied = PyMemoryView::from(bytes)?.call_method0(intern!(py, "tobytes"))?;
        let copied = copied.cast::<PyBytes>()?;
        self.printer.write(py, self.stream, copied.as_bytes());
        Ok(copied.as_bytes().len())
    }
}
