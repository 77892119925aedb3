//! Where user code runs: in this process, or in worker processes that it can ruin without ruining anything else.
//!
//! A worker is this very program, started again. It runs the engine; the host keeps the socket, the clock, the limits,
//! the log and the metrics, and hands calls over. To the server both are an [`Engine`]: [`Isolated`].
//!
//! - the bytes between the two: `frame`, `link`, `body`;
//! - the worker: `child`, `running`;
//! - the host: `process` (what the system knows of a worker), `member` (a worker and its calls), `life` (its start and
//!   its end), `output` (what it prints), `pool` (all of them), `watch` and `limits` (what they may use).

mod body;
mod calls;
mod child;
mod errors;
mod fate;
#[expect(unsafe_code, reason = "signal handlers")]
mod ffi;
mod frame;
mod life;
mod limits;
mod link;
mod member;
mod meter;
mod output;
mod pool;
mod process;
mod room;
mod running;
mod watch;
mod words;

use std::{num::NonZeroUsize, sync::Arc};

use contract::{Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation, LoadError, Reply};
use tokio_util::either::Either;

pub(crate) use child::run as run_worker;
pub(crate) use errors::Refusal;
pub(crate) use limits::Limits;
pub(crate) use pool::Pool;

/// The argument that makes this program a worker. It comes with the process id of the host.
pub(crate) const MARK: &str = "--worker";

/// An engine, here or in workers.
pub(crate) enum Isolated<E> {
    /// In this process.
    Thread(E),
    /// In processes of its own.
    Process(Arc<Pool>),
}

impl<E: Engine> Engine for Isolated<E> {
    const NAME: &'static str = E::NAME;
    const CAPABILITIES: &'static [Capability] = E::CAPABILITIES;

    fn load(source: HandlerSource) -> Result<Self, LoadError> {
        E::load(source).map(Self::Thread)
    }

    fn runtime_version(&self) -> String {
        match self {
            Self::Thread(engine) => engine.runtime_version(),
            Self::Process(pool) => pool.runtime_version(),
        }
    }

    fn capacity(&self) -> Option<NonZeroUsize> {
        match self {
            Self::Thread(engine) => engine.capacity(),
            Self::Process(pool) => pool.capacity().and_then(NonZeroUsize::new),
        }
    }

    fn streams_requests(&self) -> bool {
        match self {
            Self::Thread(engine) => engine.streams_requests(),
            Self::Process(pool) => pool.streams_requests(),
        }
    }

    fn serves(&self) -> bool {
        match self {
            Self::Thread(engine) => engine.serves(),
            Self::Process(pool) => pool.serves(),
        }
    }

    async fn gauges(&self) -> Gauges {
        match self {
            Self::Thread(engine) => engine.gauges().await,
            Self::Process(pool) => pool.gauges().await,
        }
    }

    async fn finish(&self) {
        match self {
            Self::Thread(engine) => engine.finish().await,
            Self::Process(pool) => pool.finish().await,
        }
    }

    // Not an async function: that would carry the call twice, and moving it is a good part of what a call costs.
    fn invoke(&self, call: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send {
        match self {
            Self::Thread(engine) => Either::Left(engine.invoke(call)),
            Self::Process(pool) => Either::Right(pool.invoke(call)),
        }
    }
}
