//! The startup snapshot: the heap of an isolate that has run Deno's and our own scripts, and the sources of those that
//! run on demand. Reading it is what keeps the start short.
//!
//! `funchost-nodejs snapshot` makes it, beside the program, after the program has been built. A build script could make
//! it earlier, but would have to compile V8's bindings and Deno's crates a second time for that.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use contract::{CallIds, Context, Failure, HandlerError, Output, OutputLine};
use deno_core::{ModuleCodeString, ModuleName};
use deno_runtime::{
    ops::bootstrap::SnapshotOptions,
    snapshot::{LazyExtensionFileKind, create_runtime_snapshot},
    tokio_util::create_basic_runtime,
    transpile::maybe_transpile_source,
};
use host::Exit;

use crate::{
    compiled::Compiled,
    ffi::{self, Buffers},
    isolate::{self, Parts},
    load::Sdk,
    loader::Loader,
    ops,
};

/// The argument that makes a snapshot instead of serving.
pub(crate) const COMMAND: &str = "snapshot";

/// What the file begins with: it is of this build, or it is not read any further.
const HEADER: &str = concat!("funchost-nodejs snapshot of build ", env!("FUNCHOST_BUILD"), "\n");

/// Name and text of scripts that have not run when the snapshot was made.
pub(crate) type Sources = &'static [(&'static str, &'static str)];

/// Name of a script and what V8 has made of it.
type CompiledScripts = &'static [(&'static str, &'static [u8])];

/// A snapshot in memory, for as long as the process lives: V8 and the scripts' strings refer to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    /// V8's part.
    pub(crate) heap: &'static [u8],
    /// Classic scripts.
    pub(crate) scripts: Sources,
    /// ES modules.
    pub(crate) modules: Sources,
    /// What V8 has made of some of both.
    compiled: CompiledScripts,
}

/// Why there is no snapshot to start from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot read the startup snapshot {path}: {error}; `funchost-nodejs snapshot` makes it")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("the startup snapshot {0} is of another build; `funchost-nodejs snapshot` replaces it")]
    Foreign(PathBuf),
}

impl Snapshot {
    /// Reads the file beside the program. There is no doing without it: Deno's scripts are in it and nowhere else, and
    /// `node:vm` ends the process of an isolate that does not come from one.
    pub(crate) fn read() -> Result<Self, Problem> {
        Self::read_file(&beside_the_program())
    }

    pub(crate) fn compiled(self) -> Compiled {
        Compiled::known(self.compiled.iter().copied())
    }

    fn read_file(path: &Path) -> Result<Self, Problem> {
        let bytes =
            ffi::map_file(path).map_err(|error| Problem::Unreadable { path: path.to_owned(), error })?;
        let foreign = || Problem::Foreign(path.to_owned());
        let mut reader = Reader(bytes.strip_prefix(HEADER.as_bytes()).ok_or_else(foreign)?);
        let snapshot = (|| {
            Some(Self {
                heap: reader.bytes()?,
                scripts: reader.sources()?,
                modules: reader.sources()?,
                compiled: reader.compiled()?,
            })
        })();
        snapshot.ok_or_else(foreign)
    }
}

fn beside_the_program() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_extension("snapshot")
}

/// Makes a snapshot: `funchost-nodejs snapshot [FILE]`, beside the program unless told otherwise. One that is of this
/// build already is left alone.
pub(crate) fn command(mut arguments: impl Iterator<Item = OsString>) -> Exit {
    let path = arguments.next().map_or_else(beside_the_program, PathBuf::from);
    if let Some(more) = arguments.next() {
        let message = format!("argument \"{}\" is one too many; allowed: a file", more.to_string_lossy());
        host::report_fatal("funchost-nodejs snapshot", &message);
        return Exit::Usage;
    }
    if Snapshot::read_file(&path).is_ok() {
        return Exit::Done;
    }
    match make(&path) {
        Ok(()) => Exit::Done,
        Err(error) => {
            host::report_fatal(
                "funchost-nodejs snapshot",
                &format!("cannot write {}: {error}", path.display()),
            );
            Exit::Internal
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    let folder = tempfile::tempdir_in(path.parent().unwrap_or(Path::new(".")))?;
    let heap = folder.path().join("heap");
    let options = SnapshotOptions {
        ts_version: "none".to_owned(),
        v8_version: deno_core::v8::VERSION_STRING,
        target: format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS),
    };
    isolate::start_v8();
    let made = create_runtime_snapshot(heap.clone(), options, vec![ops::funchost::init()]);
    let consumed: HashSet<&str> = made.consumed_lazy_specifiers.iter().map(String::as_str).collect();
    let mut file = HEADER.as_bytes().to_vec();
    append(&mut file, &fs::read(&heap)?);
    for kind in [LazyExtensionFileKind::Js, LazyExtensionFileKind::Esm] {
        let rest = made.lazy_extension_files.iter().filter(|file| file.kind == kind);
        let rest: Vec<_> = rest.filter(|file| !consumed.contains(file.specifier.as_str())).collect();
        append(&mut file, &(rest.len() as u64).to_le_bytes());
        for source in rest {
            let text = fs::read_to_string(&source.path)?;
            append(&mut file, source.specifier.as_bytes());
            append(&mut file, prepared(&source.specifier, text, kind)?.as_bytes());
        }
    }
    let whole = folder.path().join("whole");
    let mut without = file.clone();
    append(&mut without, &0_u64.to_le_bytes());
    fs::write(&whole, without)?;
    let snapshot = Snapshot::read_file(&whole).map_err(io::Error::other)?;
    let compiled = compile(snapshot).map_err(io::Error::other)?;
    append(&mut file, &(compiled.len() as u64).to_le_bytes());
    for (name, data) in compiled {
        append(&mut file, name.as_bytes());
        append(&mut file, &data);
    }
    let complete = folder.path().join("complete");
    fs::write(&complete, file)?;
    fs::rename(complete, path)
}

/// Runs an isolate from the snapshot and has it load what functions need.
fn compile(snapshot: Snapshot) -> Result<BTreeMap<String, Vec<u8>>, HandlerError> {
    #[derive(Debug)]
    struct Nowhere;
    impl Output for Nowhere {
        fn line(&self, _: OutputLine<'_>) {}
        fn stray_failure(&self, _: &Failure, _: Option<&CallIds>) {}
    }
    let context =
        Context { function_name: String::new(), timeout: Duration::ZERO, runtime: None, memory_limit: None };
    let parts = Parts {
        root: PathBuf::from("/"),
        memory: 256 << 20,
        snapshot,
        compiled: Arc::new(Compiled::collecting()),
        output: Arc::new(Nowhere),
    };
    let runtime = create_basic_runtime();
    runtime.block_on(async {
        let loader = Rc::new(Loader::new(&parts.root, parts.compiled.clone()));
        let mut js = isolate::new(&parts, &loader, Buffers::new(parts.memory));
        let sdk = Sdk::new(&mut js).map_err(|error| HandlerError::Lost(error.to_string()))?;
        {
            deno_core::scope!(scope, &mut js.js_runtime);
            sdk.start(scope, &context)?;
            while sdk.warm(scope)? {}
        }
        // What V8 has made of ES modules is handed over by the event loop.
        js.run_event_loop(false).await.map_err(|error| HandlerError::Lost(error.to_string()))
    })?;
    Ok(parts.compiled.collected())
}

/// A script as it is run: TypeScript's types are gone, and a classic script is an expression, as Deno's loader of such
/// scripts wants it.
fn prepared(name: &str, text: String, kind: LazyExtensionFileKind) -> io::Result<String> {
    let (text, _) = maybe_transpile_source(ModuleName::from(name.to_owned()), ModuleCodeString::from(text))
        .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    let text = match kind {
        LazyExtensionFileKind::Js => deno_core::wrap_lazy_ext_script(text.as_str()),
        LazyExtensionFileKind::Esm => text.as_str().to_owned(),
    };
    // V8 refers to the text as it is in memory, one byte for each character.
    if text.is_ascii() { Ok(text) } else { Err(io::Error::other(format!("{name} is not ASCII"))) }
}

fn append(file: &mut Vec<u8>, bytes: &[u8]) {
    file.extend((bytes.len() as u64).to_le_bytes());
    file.extend(bytes);
}

/// Takes a file apart that [`append`] has put together.
struct Reader(&'static [u8]);

impl Reader {
    fn bytes(&mut self) -> Option<&'static [u8]> {
        let (length, rest) = self.0.split_first_chunk::<8>()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'static str> {
        std::str::from_utf8(self.bytes()?).ok().filter(|text| text.is_ascii())
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes()?.try_into().ok()?))
    }

    fn sources(&mut self) -> Option<Sources> {
        let sources: Option<Vec<_>> =
            (0..self.number()?).map(|_| Some((self.text()?, self.text()?))).collect();
        Some(sources?.leak())
    }

    fn compiled(&mut self) -> Option<CompiledScripts> {
        let compiled: Option<Vec<_>> =
            (0..self.number()?).map(|_| Some((self.text()?, self.bytes()?))).collect();
        Some(compiled?.leak())
    }
}
