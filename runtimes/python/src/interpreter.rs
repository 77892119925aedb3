//! Starting CPython and loading the function, on the thread that stays Python's main thread.

use std::{
    ffi::{CStr, CString},
    fmt::Write as _,
    io,
    sync::{
        Arc, Mutex, OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread,
    time::Duration,
};

use contract::{HandlerSource, LoadError, OutputStream, env};
use pyo3::{
    prelude::*,
    types::{PyCFunction, PyDict, PyModule, PyString, PyTuple, PyType},
};

use crate::{
    call::lock,
    convert::{Arguments, Function, Replies},
    engine::Shared,
    error::Errors,
    event_loop::{self, Inbox},
    ffi,
    interrupt::Interrupter,
    output::{Printer, Writer},
    worker::{Pool, STACK},
};

/// The Python executable to behave like, as the launcher found it.
pub(crate) static PROGRAM: OnceLock<CString> = OnceLock::new();

/// The Python half of the host. None of it is on the function's `sys.path`.
macro_rules! python_sources {
    ($($name:literal),*) => {
        &[$((
            c_str(concat!("_funchost.", $name, "\0")),
            c_str(concat!("<funchost>/", $name, ".py\0")),
            c_str(concat!(include_str!(concat!("../sdk/_funchost/", $name, ".py")), "\0")),
        )),*]
    };
}

/// Checked when it is compiled.
const fn c_str(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a zero within the text"),
    }
}

const BOTTLE: &str = include_str!("../../../third_party/bottle/bottle.py");

/// Name, file for tracebacks, code.
type Source = (&'static CStr, &'static CStr, &'static CStr);
const AT_START: &[Source] = python_sources!("errors", "output", "load", "request", "stack");
const EVENT_LOOP: &[Source] = python_sources!("event_loop");

/// The other threads' way to Python's main thread.
pub(crate) struct MainThread {
    orders: Mutex<Sender<Order>>,
    loop_asked: OnceLock<()>,
}

enum Order {
    /// Run the event loop from now on.
    RunLoop,
    /// Run what user code has registered with `atexit`, say so, and end.
    Finish(SyncSender<()>),
}

/// How long `atexit` handlers may take: telemetry is sent there, and the process is expected to be gone soon.
const AT_EXIT: Duration = Duration::from_secs(2);

impl MainThread {
    /// Has the event loop started, once.
    pub(crate) fn start_loop(&self) {
        self.loop_asked.get_or_init(|| {
            // The thread ends with the process.
            let _ = lock(&self.orders).send(Order::RunLoop);
        });
    }

    /// Runs `atexit` handlers. Only when no call runs any more: they may take down what calls use.
    pub(crate) fn finish(&self, inbox: &Inbox) {
        let (done, finished) = mpsc::sync_channel(1);
        let asked = lock(&self.orders).send(Order::Finish(done));
        if self.loop_asked.get().is_some() {
            inbox.stop();
        }
        if asked.is_ok() && finished.recv_timeout(AT_EXIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the function's atexit handlers did not finish within {} s", AT_EXIT.as_secs());
        }
    }
}

type Loaded = Result<(Arc<Shared>, String), LoadError>;

/// Starts the interpreter on a thread of its own and loads the function there.
pub(crate) fn start(source: HandlerSource) -> Loaded {
    let (sender, receiver) = mpsc::sync_channel(1);
    let main = move || {
        if let Err(message) = ffi::initialize(PROGRAM.get().map(CString::as_c_str)) {
            let _ = sender.send(Err(LoadError::Runtime(message)));
            return;
        }
        Python::attach(|py| {
            let (orders, received) = mpsc::channel();
            let loaded = load(py, &source, orders);
            let shared = loaded.as_ref().ok().map(|(shared, _)| shared.clone());
            let _ = sender.send(loaded);
            if let Some(shared) = shared {
                serve(py, &shared, received);
            }
        });
    };
    let spawned = thread::Builder::new().name("python-main".to_owned()).stack_size(STACK).spawn(main);
    spawned.map_err(|error| cannot_start(&error))?;
    receiver.recv().map_err(|_| LoadError::Runtime("Python's main thread has ended".to_owned()))?
}

fn cannot_start(error: &io::Error) -> LoadError {
    LoadError::Runtime(format!("no thread for Python: {error}"))
}

/// What the main thread does once the function is loaded.
fn serve(py: Python<'_>, shared: &Arc<Shared>, orders: Receiver<Order>) {
    let orders = Mutex::new(orders);
    while let Ok(order) = py.detach(|| lock(&orders).recv()) {
        match order {
            Order::RunLoop => {
                let ran =
                    modules(py, EVENT_LOOP).and_then(|modules| event_loop::run(py, shared, &modules[0]));
                if let Err(error) = ran {
                    shared.printer.stray(py, &shared.errors.failure(py, &error), None);
                }
            }
            Order::Finish(done) => {
                // What a handler raises, `atexit` prints itself.
                let _ = py.import("atexit").and_then(|atexit| atexit.call_method0("_run_exitfuncs"));
                shared.printer.finish_thread();
                let _ = done.send(());
                return;
            }
        }
    }
}

/// Prepares the interpreter and loads the function.
fn load(py: Python<'_>, source: &HandlerSource, orders: Sender<Order>) -> Loaded {
    let fault = |error: PyErr| LoadError::Runtime(unprepared(py, &error));
    let prepared = Prepared::new(py, source).map_err(fault)?;
    let function = prepared.load_function(py, source)?;
    let version = version(py).map_err(fault)?;
    let (interrupter, requests) = Interrupter::new();
    let threads =
        source.settings.number(&env::FUNC_THREADS).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    let is_async = function.is_async;
    let stack = prepared.stack.unbind();
    let shared = Arc::new(Shared {
        function,
        errors: prepared.errors,
        printer: prepared.printer,
        stack,
        pool: Pool::new(threads),
        inbox: Inbox::new().map_err(|error| cannot_start(&error))?,
        interrupter,
        interpreter: MainThread { orders: Mutex::new(orders), loop_asked: OnceLock::new() },
    });
    let serving = shared.clone();
    thread::Builder::new()
        .name("interrupter".to_owned())
        .spawn(move || requests.serve(&serving))
        .map_err(|error| cannot_start(&error))?;
    if is_async {
        shared.interpreter.start_loop();
    } else {
        shared.start_first_thread();
    }
    Ok((shared, version))
}

/// Python's state before the function is loaded.
struct Prepared<'py> {
    errors: Errors,
    printer: Arc<Printer>,
    load: Bound<'py, PyModule>,
    request: Bound<'py, PyModule>,
    stack: Bound<'py, PyModule>,
}

impl<'py> Prepared<'py> {
    fn new(py: Python<'py>, source: &HandlerSource) -> PyResult<Self> {
        let package = PyModule::new(py, "_funchost")?;
        package.setattr("__path__", Vec::<String>::new())?;
        let sys_modules = py.import("sys")?.getattr("modules")?;
        sys_modules.set_item("_funchost", &package)?;
        let loaded = modules(py, AT_START)?;
        let [errors, output, load, request, stack] = &loaded[..] else {
            unreachable!("as many as there are sources")
        };

        let current = py.import("contextvars")?.getattr("ContextVar")?.call1(("funchost-call",))?;
        let printer = Arc::new(Printer::new(source.output.clone(), current.unbind()));
        let writer = |stream| Bound::new(py, Writer { printer: printer.clone(), stream });
        output.call_method1("install", (writer(OutputStream::Stdout)?, writer(OutputStream::Stderr)?))?;

        let described = Errors::new(errors)?;
        errors.call_method1("install", (stray_reporter(py, &printer, errors)?,))?;
        let bottle = PyCFunction::new_closure(py, None, None, |arguments, _| {
            PyString::new(arguments.py(), BOTTLE).unbind()
        })?;
        request.call_method1("install", (bottle, printer.current(py)))?;
        load.call_method1("prepare", (source.root.as_os_str(),))?;
        Ok(Self {
            errors: described,
            printer,
            load: load.clone(),
            request: request.clone(),
            stack: stack.clone(),
        })
    }

    fn load_function(&self, py: Python<'py>, source: &HandlerSource) -> Result<Function, LoadError> {
        let called =
            self.load.call_method1("load", (source.root.as_os_str(), &source.module, &source.function));
        let (handler, name, is_async): (Bound<'py, PyAny>, String, bool) =
            called.and_then(|parts| parts.extract()).map_err(|error| self.load_error(py, &error))?;
        let class = |name| -> PyResult<Bound<'py, PyType>> { Ok(self.request.getattr(name)?.cast_into()?) };
        let made = || -> PyResult<Function> {
            Ok(Function {
                handler: handler.unbind(),
                is_async,
                arguments: Arguments::new(py, &name, &source.context, class("Placeholder")?)?,
                replies: Replies::new(py, self.request.getattr("response")?.unbind())?,
            })
        };
        made().map_err(|error| LoadError::Runtime(unprepared(py, &error)))
    }

    /// The two exceptions of `load.py` in the contract's words.
    fn load_error(&self, py: Python<'py>, error: &PyErr) -> LoadError {
        let is = |name| self.load.getattr(name).is_ok_and(|kind| error.get_type(py).is(&kind));
        let arguments = error.value(py).getattr("args").and_then(|args| Ok(args.cast_into::<PyTuple>()?));
        let text = |at| arguments.as_ref().ok()?.get_item(at).ok()?.extract::<String>().ok();
        match (text(0), text(1)) {
            (Some(message), _) if is("NotFound") => LoadError::NotFound(message),
            (Some(message), Some(stack)) if is("Broken") => LoadError::Failed { message, stack },
            _ => LoadError::Runtime(unprepared(py, error)),
        }
    }
}

/// What goes wrong in the host's own Python code is an error of the host, or of a very broken Python.
fn unprepared(py: Python<'_>, error: &PyErr) -> String {
    let mut text = format!("Python cannot be prepared: {error}");
    if let Some(traceback) = error.traceback(py).and_then(|traceback| traceback.format().ok()) {
        let _ = write!(text, "\n{traceback}");
    }
    text
}

/// What `errors.py` calls with an exception that has ended a thread.
fn stray_reporter<'py>(
    py: Python<'py>,
    printer: &Arc<Printer>,
    errors: &Bound<'py, PyModule>,
) -> PyResult<Bound<'py, PyCFunction>> {
    let (printer, errors) = (printer.clone(), Errors::new(errors)?);
    PyCFunction::new_closure(
        py,
        None,
        None,
        move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
            let error = PyErr::from_value(arguments.get_item(0)?);
            printer.stray(arguments.py(), &errors.failure(arguments.py(), &error), None);
            PyResult::Ok(())
        },
    )
}

fn modules<'py>(py: Python<'py>, sources: &[Source]) -> PyResult<Vec<Bound<'py, PyModule>>> {
    sources.iter().map(|(name, file, code)| PyModule::from_code(py, code, file, name)).collect()
}

fn version(py: Python<'_>) -> PyResult<String> {
    let name: String = py.import("sys")?.getattr("implementation")?.getattr("name")?.extract()?;
    let name = if name == "cpython" { "CPython" } else { &name };
    let number = Python::version_str();
    Ok(format!("{name} {}", number.split_whitespace().next().unwrap_or(number)))
}
