//! The seam between the server and a language.

use std::{future::Future, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{Context, HandlerError, Invocation, LoadError, Output, Reply, env::Settings};

/// One language. All that the server knows of Python, V8 or Go goes through this trait.
pub trait Engine: Sized + Send + Sync + 'static {
    /// The language's stable name: log field, build-info label, conformance claim. Lower case, no version.
    const NAME: &'static str;

    /// What this engine promises beyond the core of the contract; `--describe` prints it.
    const CAPABILITIES: &'static [Capability];

    /// Where the function runs when `FUNC_ISOLATION` does not say: chosen by measurement, see `shared/README.md`.
    const ISOLATION: Isolation = Isolation::Thread;

    /// Starts the language and resolves the handler.
    ///
    /// Called once per process, on a thread of its own that may block; readiness waits for it. An error ends the
    /// process with the error's message, so it must tell the function's author what to mend.
    fn load(source: HandlerSource) -> Result<Self, LoadError>;

    /// The running language with its version, as in `CPython 3.13.5`.
    fn runtime_version(&self) -> String;

    /// How many calls the engine can run at once, when it has a limit of its own (a pool of threads). The server
    /// never hands over more than this, so that waiting happens in one place: its bounded queue.
    fn capacity(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Whether the function takes request bodies as they come, instead of complete.
    ///
    /// A property of the function that was loaded, so asked of the engine once it is there and not of a request.
    /// If so, a body that is not empty is a [`Body::Stream`](crate::Body::Stream), and the call begins before its
    /// client has sent everything:
    ///
    /// * The client sends no faster than the stream is polled, so an engine polls when the user code wants to read.
    ///   Who waits too long for a client that was asked gets [`BodyError::Stalled`](crate::BodyError::Stalled).
    /// * The stream ends with [`HandlerError::Body`] where the body does. The server then answers for the client's
    ///   fault, whatever the call replies; a reply that has begun is cut off. If the client has gone, the call is
    ///   cancelled as well.
    /// * It may be polled on any thread, for as long as the call runs, also while its reply is streamed; afterwards it
    ///   only says that nobody sends any more. An engine drops it when the user code can read no further.
    fn streams_requests(&self) -> bool {
        false
    }

    /// How the language does at this moment; asked when metrics are, never in the path of a call.
    fn gauges(&self) -> impl Future<Output = Gauges> + Send {
        async { Gauges::default() }
    }

    /// Runs one call to its end.
    ///
    /// Called concurrently. The work may begin before the future is polled; neither may block the calling thread, and
    /// the future may be polled on any. It is always driven to its end, also after the client has been answered or has
    /// left. When [`Invocation::cancel`] fires, the engine stops the user code if its language can. The engine drops
    /// [`Invocation::place`] when the user code is really done and not before.
    ///
    /// With a streamed [`Reply`] the call goes on until the stream ends; dropping the stream means nobody reads any
    /// more, and the engine stops the user code as it does for a cancelled call.
    fn invoke(&self, call: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send;
}

/// Where a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In threads of the server's own process.
    Thread,
    /// In worker processes.
    Process,
}

/// Where the handler is and what it is told about itself.
#[derive(Debug)]
pub struct HandlerSource {
    /// The mount that holds the function, `/kubeless` unless `MOD_ROOT_PATH` says otherwise.
    pub root: PathBuf,
    /// `MOD_NAME`: the file or module to load, without the language's suffix.
    pub module: String,
    /// `FUNC_HANDLER`: the symbol in that module.
    pub function: String,
    /// What every call is told; the same for the whole life of the process.
    pub context: Context,
    /// All configuration variables, validated. An engine reads its own rows here and never the environment.
    pub settings: Settings,
    /// What the process may use.
    pub share: Share,
    /// Where the function's own output and its late failures go.
    pub output: Arc<dyn Output>,
}

/// What an engine can tell of its language beyond what the server sees; `None` where there is no such thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Tasks, goroutines, coroutines: whatever the language runs many of.
    pub tasks: Option<u64>,
    /// Time that threads have waited, since the start, for the lock that only one of them may hold.
    pub lock_wait: Option<Duration>,
    /// By how much the event loop was late when it was last looked at.
    pub loop_lag: Option<Duration>,
}

impl Gauges {
    /// What two processes have together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        fn both<T>(one: Option<T>, other: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(join(one, other)),
                (one, other) => one.or(other),
            }
        }
        Self {
            tasks: both(self.tasks, other.tasks, |one, other| one + other),
            lock_wait: both(self.lock_wait, other.lock_wait, |one, other| one + other),
            loop_lag: both(self.loop_lag, other.loop_lag, Ord::max),
        }
    }
}

/// What one process may use of what its container has; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// In CPUs, fractions included. Processes of one host take turns with it.
    pub cpus: Option<f64>,
    /// In bytes: the container's limit, or FUNC_MEMORY_LIMIT if that is less. Processes of one host have equal parts.
    pub memory: Option<u64>,
    /// Into how many parts a language divides itself that can run calls in several at once without several processes:
    /// FUNC_WORKERS, and 1 where these are processes.
    pub isolates: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { cpus: None, memory: None, isolates: 1 }
    }
}

/// A promise that not every engine makes. The names are part of the contract: the conformance suite selects its
/// checks by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Many calls wait at once on one event loop (`async def`, promises, goroutines).
    AsyncHandlers,
    /// A request body that is not text reaches the function byte for byte.
    BinaryBody,
    /// Dependencies installed under the mount are found.
    Dependencies,
    /// A reply may be sent piece by piece while the function runs.
    StreamingReply,
    /// A request's body may be read piece by piece while its client sends it: there is a form of function for which
    /// [`Engine::streams_requests`].
    StreamingRequest,
    /// A handler that runs past its deadline is interrupted, not only abandoned.
    StopRunningHandler,
    /// `multipart/form-data` uploads can be read with the language's customary library.
    Multipart,
    /// A JSON body reaches the function as the language's own values, and not as its text.
    StructuredData,
}

impl Capability {
    /// All of them, for the documentation.
    pub const ALL: [Self; 8] = [
        Self::AsyncHandlers,
        Self::BinaryBody,
        Self::Dependencies,
        Self::StreamingReply,
        Self::StreamingRequest,
        Self::StopRunningHandler,
        Self::Multipart,
        Self::StructuredData,
    ];

    /// One line for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::AsyncHandlers => "many calls wait at once on one event loop",
            Self::BinaryBody => "a request body that is not text reaches the function byte for byte",
            Self::Dependencies => "dependencies installed under the mount are found",
            Self::StreamingReply => "a reply may be sent piece by piece while the function runs",
            Self::StreamingRequest => "a request's body may be read piece by piece while its client sends it",
            Self::StopRunningHandler => "a handler that runs past its deadline is interrupted",
            Self::Multipart => "uploads can be read with the language's customary library",
            Self::StructuredData => "a JSON body reaches the function as the language's own values",
        }
    }
}
