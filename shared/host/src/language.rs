//! Languages and engines without their types: the server is compiled once, here, and not again in every program that has
//! an engine for it.

use std::{num::NonZeroUsize, sync::Arc};

use contract::{
    Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation, Isolation, LoadError, Reply,
};
use futures_core::future::BoxFuture;

/// [`Engine::load`].
pub(crate) type Load = fn(HandlerSource) -> Result<Arc<dyn AnyEngine>, LoadError>;

/// What is known of a language before it runs.
pub(crate) struct Language {
    /// [`Engine::NAME`].
    pub(crate) name: &'static str,
    /// [`Engine::CAPABILITIES`].
    pub(crate) capabilities: &'static [Capability],
    /// [`Engine::ISOLATION`].
    pub(crate) isolation: Isolation,
    /// [`Engine::load`].
    pub(crate) load: Load,
}

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

/// An engine that is there, with its function: a language in this process, or worker processes that have one. Every method
/// is the one of [`Engine`].
pub(crate) trait AnyEngine: Send + Sync {
    fn runtime_version(&self) -> String;
    fn capacity(&self) -> Option<NonZeroUsize>;
    fn streams_requests(&self) -> bool;
    fn serves(&self) -> bool;
    fn gauges(&self) -> BoxFuture<'_, Gauges>;
    fn finish(&self) -> BoxFuture<'_, ()>;
    fn invoke(self: Arc<Self>, call: Invocation) -> Invoke;
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

    fn serves(&self) -> bool {
        Engine::serves(self)
    }

    fn gauges(&self) -> BoxFuture<'_, Gauges> {
        Box::pin(Engine::gauges(self))
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(Engine::finish(self))
    }

    fn invoke(self: Arc<Self>, call: Invocation) -> Invoke {
        Box::pin(async move { Engine::invoke(&*self, call).await })
    }
}
