//! The words that the server (`host`) and the language engines (`runtimes/*`) share.
//!
//! Nothing here does I/O, knows a runtime's clock or reads the environment: [`env`](mod@env) describes the
//! variables, `host` reads them. An engine implements [`Engine`]; everything else in this crate is what passes
//! through that seam: an [`Invocation`] in, a [`Reply`] or a [`HandlerError`] out.

#![forbid(unsafe_code)]

pub mod cancel;
pub mod engine;
pub mod env;
pub mod error;
pub mod event;
pub mod ids;
pub mod output;
pub mod reply;

pub use cancel::{CancelReason, Cancelled, Witness};
pub use engine::{Capability, Engine, Gauges, HandlerSource, Isolation, Share};
pub use error::{BodyError, Failure, HandlerError, LoadError};
pub use event::{Context, DataKind, EventHeaders, Hold, Invocation, Place};
pub use ids::{CallIds, RequestId, TraceContext};
pub use output::{Output, OutputLine, OutputStream};
pub use reply::{Body, BodyStream, Reply};

/// The version of the contract that hosts and images keep: `--describe`, image labels and the conformance suite
/// name it. It changes when a promise changes, not with every release of the software.
pub const CONTRACT_VERSION: &str = "1";
