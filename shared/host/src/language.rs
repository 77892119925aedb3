//! Languages and engines without their types: so the server is compiled once, in this crate, and not again in every program
//! that has an engine for it.

use std::{future::ready, num::NonZeroUsize, sync::Arc};

use contract::{
    Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation, Isolation, LoadError, Reply,
};
use futures_core::future::BoxFuture;

/// What is known of a language before it runs.
pub(crate) struct Language {
    /// [`Engine::NAME`].
    pub(crate) name: &'static str,
    /// [`Engine::CAPABILITIES`].
    pub(crate) capabilities: &'static [Capability],
    /// [`Engine::ISOLATION`].
    pub(crate) isolation: Isolation,
    /// [`Engine::load`].
    pub(crate) load: fn(HandlerSource) -> Loaded,
}

/// An engine with its function, or why there is none.
pub(crate) type Loaded = Result<Arc<dyn AnyEngine>, LoadError>;

impl Language {
    pub(crate) const fn of<E: Engine>() -> Self {
        Self {
            name: E::NAME,
            capabilities: E::CAPABILITIES,
            isolation: E::ISOLATION,
            load: |source| Ok(Arc::new(E::load(source)?)),
        }
    }
}

/// A call that an engine runs.
pub(crate) type Invoke = BoxFuture<'static, Result<Reply, HandlerError>>;

/// An engine that is there, with its function: a language in this process, or worker processes that have one. What is not
/// explained here is in [`Engine`].
pub(crate) trait AnyEngine: Send + Sync {
    fn runtime_version(&self) -> String;
    fn capacity(&self) -> Option<NonZeroUsize>;
    fn streams_requests(&self) -> bool;
    fn gauges(&self) -> BoxFuture<'_, Gauges>;

    /// As [`Engine::invoke`], and nothing is done before the future is polled: whoever polls catches panics.
    fn invoke(self: Arc<Self>, call: Invocation) -> Invoke;

    /// Whether calls would find the language alive; readiness asks. A language that ends in this process takes it along.
    fn serves(&self) -> bool {
        true
    }

    /// Ends what the engine has outside of this process. Called once, when no call will come any more; dropping the
    /// engine ends what it has inside.
    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl<E: Engine> AnyEngine for E {
    fn runtime_version(&self) -> String {
        Engine::runtime_version(self)
    }

    fn capacity(&self) -> Option<NonZeroUsize> {
        Engine::capacity(self)
    }

    fn streams_requests(&self) -> bool {
        Engine::streams_requests(self)
    }

    fn gauges(&self) -> BoxFuture<'_, Gauges> {
        Box::pin(Engine::gauges(self))
    }

    fn invoke(self: Arc<Self>, call: Invocation) -> Invoke {
        Box::pin(async move { Engine::invoke(&*self, call).await })
    }
}
