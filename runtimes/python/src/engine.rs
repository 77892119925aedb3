//! Python behind the seam: what the server asks for, and what all threads share.

use std::{
    future::poll_fn,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use contract::{
    Body, Cancelled, Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation, Isolation,
    LoadError, Reply,
};
use futures_core::Stream;
use pyo3::{Py, types::PyModule};

use crate::{
    bell::Listening,
    call::{Answered, Call},
    convert::Function,
    error::Errors,
    event_loop::Inbox,
    interpreter,
    interrupt::Interrupter,
    output::Printer,
    pipe::Pipe,
    worker::{Job, Pool},
};

/// How long a generator whose client has left may take to come to its end by itself, through `close()`, before it
/// is interrupted.
const GRACE: Duration = Duration::from_millis(100);

/// CPython with one function.
pub(crate) struct PythonEngine {
    shared: Arc<Shared>,
    version: String,
}

/// What the threads that run Python share. It lives as long as the process.
pub(crate) struct Shared {
    pub(crate) function: Function,
    pub(crate) errors: Errors,
    pub(crate) printer: Arc<Printer>,
    /// The module that tells where a call is.
    pub(crate) stack: Py<PyModule>,
    pub(crate) pool: Pool,
    pub(crate) inbox: Inbox,
    pub(crate) interrupter: Interrupter,
    pub(crate) interpreter: interpreter::MainThread,
}

impl Engine for PythonEngine {
    const NAME: &'static str = "python";
    const CAPABILITIES: &'static [Capability] = crate::capabilities::CAPABILITIES;
    const ISOLATION: Isolation = Isolation::Process;

    fn load(source: HandlerSource) -> Result<Self, LoadError> {
        let (shared, version) = interpreter::start(source)?;
        Ok(Self { shared, version })
    }

    fn runtime_version(&self) -> String {
        self.version.clone()
    }

    fn capacity(&self) -> Option<NonZeroUsize> {
        let threads = NonZeroUsize::new(self.shared.pool.limit());
        threads.filter(|_| !self.shared.function.is_async)
    }

    async fn gauges(&self) -> Gauges {
        Gauges { lock_wait: Some(self.shared.pool.lock_wait()), ..Gauges::default() }
    }

    fn invoke(&self, invocation: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send {
        let begun = self.begin(invocation);
        async move {
            let (call, cancel) = begun?;
            let _listening = Listening;
            let mut asked = false;
            let answer = poll_fn(|cx| {
                if !asked && cancel.poll_cancelled(cx).is_ready() {
                    asked = true;
                    self.shared.interrupter.stop(&call);
                }
                call.poll_answer(cx)
            });
            let Answered { mut reply, pipe } = answer.await?;
            if let Some(pipe) = pipe {
                let interrupter = self.shared.interrupter.clone();
                reply.body = Body::Stream(Box::pin(ReplyStream { call, pipe, interrupter }));
            }
            Ok(reply)
        }
    }
}

impl PythonEngine {
    /// Hands a call to Python.
    fn begin(&self, invocation: Invocation) -> Result<(Arc<Call>, Cancelled), HandlerError> {
        let (call, cancel) = Call::new(invocation)?;
        if self.shared.function.is_async {
            self.shared.run_on_loop(call.clone(), None);
        } else {
            self.shared.submit(Job::Call(call.clone()));
        }
        Ok((call, cancel))
    }
}

impl Drop for PythonEngine {
    /// The server lets go of its engine when all calls have ended. The interpreter is not finalised: threads of user
    /// code may still run, and CPython does not survive that.
    fn drop(&mut self) {
        self.shared.interpreter.finish(&self.shared.inbox);
    }
}

/// A streamed body. Dropped before its end, it stops the user code that makes it.
struct ReplyStream {
    call: Arc<Call>,
    pipe: Arc<Pipe>,
    interrupter: Interrupter,
}

impl Stream for ReplyStream {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pipe.poll(cx)
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        if self.pipe.abandon() {
            self.interrupter.stop_after(&self.call, GRACE);
        }
    }
}
