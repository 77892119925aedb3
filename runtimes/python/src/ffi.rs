//! Everything of the library that the compiler cannot check.
//!
//! Most of Python's C interface is reached through pyo3. Here is what pyo3 leaves out of the limited API although
//! every CPython exports it unchanged since 3.7 (contexts) or 3.8 (initialisation).

use std::{
    ffi::{CStr, c_char, c_int, c_long, c_ulong},
    mem, ptr,
};

use libloading::os::unix::{Library, Symbol};
use pyo3::{
    ffi::{self, PyObject},
    prelude::*,
    types::PyType,
};

unsafe extern "C" {
    fn PyContext_New() -> *mut PyObject;
    fn PyContext_Enter(context: *mut PyObject) -> c_int;
    fn PyContext_Exit(context: *mut PyObject) -> c_int;
    fn PyContextVar_Get(var: *mut PyObject, default: *mut PyObject, value: *mut *mut PyObject) -> c_int;
    fn PyContextVar_Set(var: *mut PyObject, value: *mut PyObject) -> *mut PyObject;
}

/// What the launcher calls. `program` is the Python executable to behave like, null when there is none.
///
/// # Safety
/// `program` is null or a C string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn funchost_python_main(program: *const c_char) -> c_int {
    let program = (!program.is_null()).then(|| {
        // SAFETY: not null, and the caller promises a C string.
        unsafe { CStr::from_ptr(program) }.to_owned()
    });
    // A panic must not unwind into the launcher's frames: they were compiled apart from these.
    std::panic::catch_unwind(|| crate::run(program)).unwrap_or(host::Exit::Internal).code().into()
}

/// Room for a `PyConfig` of any version. It has grown to some 500 bytes; nothing here looks inside.
#[repr(C, align(16))]
struct Config([u8; 8192]);

/// `PyStatus`, unchanged since it was introduced with 3.8.
#[repr(C)]
struct Status {
    kind: c_int,
    function: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

impl Status {
    fn check(&self) -> Result<(), String> {
        if self.kind == 0 {
            return Ok(());
        }
        let message = (!self.message.is_null()).then(|| {
            // SAFETY: CPython gives static C strings.
            unsafe { CStr::from_ptr(self.message) }.to_string_lossy()
        });
        Err(format!("Python cannot be initialised: {}", message.as_deref().unwrap_or("it gives no reason")))
    }
}

/// Initialises the interpreter as the executable `program` would, in the calling thread, and detaches from it.
///
/// Like the executable, and unlike `Py_Initialize`, it uses UTF-8 where the environment names no locale, as in most
/// containers, and it does not end the process when it fails.
pub(crate) fn initialize(program: Option<&CStr>) -> Result<(), String> {
    let python = Library::this();
    // Deprecated in favour of fields of `PyConfig`, whose places differ between versions; there up to 3.15 at least.
    // Without it Python finds its own library by itself, though not a virtual environment.
    let set_name = function::<unsafe extern "C" fn(*const libc::wchar_t)>(&python, c"Py_SetProgramName");
    if let Some((program, set_name)) = program.zip(set_name.ok()) {
        let wide = wide(program);
        // SAFETY: the interpreter is not initialised; the string is leaked, so it lives as long as Python needs it.
        unsafe { set_name(Box::leak(wide.into_boxed_slice()).as_ptr()) };
    }
    let fill = function::<unsafe extern "C" fn(*mut Config)>(&python, c"PyConfig_InitPythonConfig")?;
    let start =
        function::<unsafe extern "C" fn(*const Config) -> Status>(&python, c"Py_InitializeFromConfig")?;
    let clear = function::<unsafe extern "C" fn(*mut Config)>(&python, c"PyConfig_Clear")?;
    let mut config = Config([0; 8192]);
    // SAFETY: it fills in the whole structure, for which there is room.
    unsafe { fill(&raw mut config) };
    let interrupts = Interrupts::of_the_host();
    // SAFETY: the configuration is what the function above made; called once, in what becomes Python's main thread.
    let status = unsafe { start(&raw const config) };
    // SAFETY: as above; the status does not point into the configuration.
    unsafe { clear(&raw mut config) };
    status.check()?;
    interrupts.take_back();
    // SAFETY: this thread holds the interpreter, which it has just initialised. The state stays this thread's own
    // and is found again when it attaches.
    unsafe { ffi::PyEval_SaveThread() };
    Ok(())
}

/// What the host does on SIGINT, which Python makes its own when it starts.
struct Interrupts(libc::sigaction);

impl Interrupts {
    fn of_the_host() -> Self {
        // SAFETY: zeros are a valid value of this structure of numbers, flags and an optional handler.
        let mut action = unsafe { mem::zeroed::<libc::sigaction>() };
        // SAFETY: only asks, and there is room for the answer.
        unsafe { libc::sigaction(libc::SIGINT, ptr::null(), &raw mut action) };
        Self(action)
    }

    fn take_back(self) {
        // SAFETY: what was in force before.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.0, ptr::null_mut()) };
    }
}

/// A function of the libpython in this process.
fn function<F: Copy>(python: &Library, name: &CStr) -> Result<F, String> {
    // SAFETY: every caller gives the type that CPython's headers declare for the name.
    let symbol: Result<Symbol<F>, _> = unsafe { python.get(name) };
    symbol.map(|symbol| *symbol).map_err(|_| format!("libpython has no {}", name.to_string_lossy()))
}

/// Bytes of the file system as Python wants them for its own name, with a zero at the end. Before the locale is
/// known, only UTF-8 can be meant.
fn wide(text: &CStr) -> Vec<libc::wchar_t> {
    text.to_string_lossy().chars().map(|c| c as libc::wchar_t).chain([0]).collect()
}

/// What Python calls this thread.
pub(crate) fn thread_ident(_attached: Python<'_>) -> c_ulong {
    // SAFETY: has no preconditions.
    unsafe { ffi::PyThread_get_thread_ident() }
}

/// Makes `exception` be raised in the thread `ident` at its next bytecode; `None` takes back one that waits.
pub(crate) fn raise_in(_attached: Python<'_>, ident: c_ulong, exception: Option<&Bound<'_, PyType>>) {
    let exception = exception.map_or(ptr::null_mut(), Bound::as_ptr);
    // SAFETY: this thread is attached; the exception is a class or null. An unknown thread is no error.
    unsafe { ffi::PyThreadState_SetAsyncExc(ident as c_long, exception) };
}

/// An instance of a class of ours, made without calling its `__new__` and `__init__`, whose slot `name` holds
/// `value`.
pub(crate) fn instance_with<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, pyo3::types::PyString>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: the class was made by a `class` statement without `__new__`, so this is what calling it would do.
    let made = unsafe { ffi::PyType_GenericAlloc(class.as_type_ptr(), 0) };
    // SAFETY: a new reference, or null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, made) }?;
    // SAFETY: three live objects.
    let set = unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if set == 0 { Ok(object) } else { Err(PyErr::fetch(py)) }
}

/// A fresh `contextvars.Context`, current until [`leave`](Self::leave).
pub(crate) struct CallContext<'py>(Bound<'py, PyAny>);

impl<'py> CallContext<'py> {
    /// Enters a new context in which `var` has `value`.
    pub(crate) fn enter(var: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = var.py();
        // SAFETY: this thread is attached.
        let new = unsafe { PyContext_New() };
        // SAFETY: a new reference, or null with an exception set.
        let context = unsafe { Bound::from_owned_ptr_or_err(py, new) }?;
        // SAFETY: a live context that no thread has entered.
        if unsafe { PyContext_Enter(context.as_ptr()) } != 0 {
            return Err(PyErr::fetch(py));
        }
        let entered = Self(context);
        // SAFETY: a live variable and a live value.
        let token = unsafe { PyContextVar_Set(var.as_ptr(), value.as_ptr()) };
        // SAFETY: a new reference, or null with an exception set.
        match unsafe { Bound::from_owned_ptr_or_err(py, token) } {
            Ok(_) => Ok(entered),
            Err(error) => {
                entered.leave();
                Err(error)
            }
        }
    }

    /// Goes back to the context that was current before.
    pub(crate) fn leave(self) {
        let py = self.0.py();
        // SAFETY: this very context was entered by this thread.
        if unsafe { PyContext_Exit(self.0.as_ptr()) } != 0 {
            // User code left it before us; there is nothing to go back to.
            drop(PyErr::fetch(py));
        }
    }
}

/// The value of a `contextvars.ContextVar` here and now.
pub(crate) fn context_value<'py>(var: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = var.py();
    let mut value = ptr::null_mut();
    // SAFETY: a live variable, no default, and room for the result.
    let found = unsafe { PyContextVar_Get(var.as_ptr(), ptr::null_mut(), &raw mut value) };
    if found != 0 {
        drop(PyErr::fetch(py));
        return None;
    }
    // SAFETY: a new reference, or null when the variable has no value.
    unsafe { Bound::from_owned_ptr_or_opt(py, value) }
}
