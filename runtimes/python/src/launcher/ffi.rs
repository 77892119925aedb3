//! Opening libraries and calling into them.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::ExitCode,
    ptr,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW, Symbol};

type Main = unsafe extern "C" fn(*const c_char) -> c_int;

/// An opened libpython.
pub(super) struct Python {
    library: Library,
    version: String,
}

/// The opened host.
pub(crate) struct Host {
    main: Symbol<Main>,
    program: Option<CString>,
}

impl Python {
    /// Opens a library whose symbols others can use.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // SAFETY: a Python library runs nothing of note when it is opened.
        let opened = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
        let library = opened.map_err(|error| reason(&error))?;
        // SAFETY: the type that every version of CPython declares.
        let found = unsafe { library.get::<unsafe extern "C" fn() -> *const c_char>(c"Py_GetVersion") };
        let get_version = found.map_err(|_| "it is no Python library: it has no Py_GetVersion".to_owned())?;
        // SAFETY: may be called before Python is initialised.
        let version = unsafe { get_version() };
        // SAFETY: a C string that lives as long as the library.
        let version = unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned();
        Ok(Self { library, version })
    }

    /// How this Python describes itself.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Opens the host's library, whose undefined symbols this Python provides. Both stay open for good.
    pub(super) fn open_host(self, path: &Path, program: Option<&Path>) -> Result<Host, String> {
        let _ = self.library.into_raw();
        // SAFETY: our own library, which runs nothing when it is opened.
        let opened = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let library = opened.map_err(|error| {
            format!("{} cannot be used with Python {}: {}", path.display(), self.version, reason(&error))
        })?;
        // SAFETY: the type that the library's `ffi.rs` gives it.
        let main = unsafe { library.get::<Main>(c"funchost_python_main") };
        let main = main.map_err(|_| format!("{} is not the library of this program", path.display()))?;
        let _ = library.into_raw();
        let program = program.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
        Ok(Host { main, program })
    }
}

impl Host {
    /// Serves, and ends the process.
    ///
    /// Not by returning from `main`: threads of user code may still run, and must not see the C library and their
    /// own being taken apart around them.
    pub(crate) fn run(self) -> ExitCode {
        let program = self.program.as_ref().map_or(ptr::null(), |program| program.as_ptr());
        // SAFETY: null or a C string that outlives the call.
        let code = unsafe { (self.main)(program) };
        // SAFETY: everything that has to be written has been.
        unsafe { libc::_exit(code) }
    }
}

/// What the system's loader says, without the wrapper's own words.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
