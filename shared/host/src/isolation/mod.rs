//! Where user code runs: in this process, or in worker processes that it can ruin without ruining anything else.
//!
//! A worker is this very program, started again. It runs the engine; the host keeps the socket, the clock, the limits,
//! the log and the metrics, and hands calls over. To the server the workers are an engine: [`Pool`].
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

pub(crate) use child::run as run_worker;
pub(crate) use errors::Refusal;
pub(crate) use limits::Limits;
pub(crate) use pool::Pool;

/// The argument that makes this program a worker. It comes with the process id of the host.
pub(crate) const MARK: &str = "--worker";
