//! Node.js behind the seam: what the server asks for.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use contract::{
    Body, CancelReason, Cancelled, Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation,
    LoadError, Reply,
};
use deno_core::v8;
use deno_runtime::deno_node::NODE_VERSION;
use futures_core::Stream;

use crate::{
    batch::{ANSWERS, Expected},
    call::{Answered, Call, Stage},
    limits::Limits,
    pipe::{Next, Pipe},
    pool::{self, Message, Shared},
    snapshot::Snapshot,
};

/// Between two looks whether user code that nobody waits for has come to its end.
const LOOK: Duration = Duration::from_millis(10);
/// Looks after which an isolate that does not answer is given up: it is in native code, which nothing stops.
const LOOKS: u32 = 8;

/// V8 with one function.
pub(crate) struct NodeEngine {
    shared: Arc<Shared>,
}

impl Engine for NodeEngine {
    const NAME: &'static str = "nodejs";
    const CAPABILITIES: &'static [Capability] = &[
        Capability::AsyncHandlers,
        Capability::BinaryBody,
        Capability::Dependencies,
        Capability::StreamingReply,
        Capability::StopRunningHandler,
        Capability::Multipart,
        Capability::StructuredData,
    ];

    fn load(source: HandlerSource) -> Result<Self, LoadError> {
        let limits = Limits::new(&source.settings, &source.share);
        let snapshot = Snapshot::read().map_err(|problem| LoadError::Runtime(problem.to_string()))?;
        Ok(Self { shared: pool::start(source, limits, snapshot)? })
    }

    fn runtime_version(&self) -> String {
        format!("Node.js API v{NODE_VERSION} (V8 {})", v8::VERSION_STRING)
    }

    async fn gauges(&self) -> Gauges {
        Gauges { loop_lag: Some(self.shared.isolates.lag().await), ..Gauges::default() }
    }

    fn invoke(&self, invocation: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send {
        let begun = self.begin(invocation);
        async move {
            let mut leash = begun?;
            if let Some(turn) = Turn::take(&self.shared) {
                turn.come().await;
            }
            let Answered { mut reply, pipe } = poll_fn(|cx| leash.poll(cx, Call::poll_answer)).await?;
            if let Some(pipe) = pipe {
                reply.body = Body::Stream(Box::pin(Pieces { leash, pipe }));
            }
            Ok(reply)
        }
    }
}

impl NodeEngine {
    /// Puts a call where isolates find it. The caller sees to it that one is woken.
    fn begin(&self, invocation: Invocation) -> Result<Leash, HandlerError> {
        let (call, cancel) = Call::new(invocation)?;
        let expected = ANSWERS.expect(&self.shared);
        self.shared.queue.add(call.clone());
        Ok(Leash { call, cancel, shared: self.shared.clone(), told: false, _expected: expected })
    }
}

/// Of the calls that an I/O thread hands over in one go, one wakes an isolate, after all of them.
struct Turn<'a> {
    shared: &'a Shared,
    /// Of the thread that took it, which need not be the one on which it ends.
    taken: Arc<AtomicBool>,
}

impl<'a> Turn<'a> {
    /// `None` when another call that this thread has just handed over will do it.
    fn take(shared: &'a Shared) -> Option<Self> {
        thread_local! {
            static TAKEN: Arc<AtomicBool> = Arc::default();
        }
        TAKEN.with(|taken| (!taken.swap(true, Relaxed)).then(|| Self { shared, taken: taken.clone() }))
    }

    /// Wakes an isolate when the tasks that are ready to run have run.
    async fn come(self) {
        tokio::task::yield_now().await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.taken.store(false, Relaxed);
        self.shared.queue.wake();
    }
}

/// A call, and the server's word that nobody waits for it any more.
struct Leash {
    call: Arc<Call>,
    cancel: Cancelled,
    shared: Arc<Shared>,
    told: bool,
    _expected: Expected,
}

impl Leash {
    /// Asks for something, and meanwhile passes a cancellation on. The call is waited for even then.
    fn poll<T>(&mut self, cx: &Context<'_>, ask: impl FnOnce(&Call, &Context<'_>) -> Poll<T>) -> Poll<T> {
        let answer = ask(&self.call, cx);
        if answer.is_pending()
            && !self.told
            && let Poll::Ready(reason) = self.cancel.poll_cancelled(cx)
        {
            self.stop(reason);
            // It may be over with that.
            cx.waker().wake_by_ref();
        }
        answer
    }

    fn stop(&mut self, reason: CancelReason) {
        self.told = true;
        if let Some(isolate) = self.call.stop(reason) {
            isolate.send(Message::Stop(self.call.clone()));
            tokio::spawn(insist(self.call.clone(), self.shared.clone()));
        }
    }
}

/// Sees to it that user code which keeps its isolate from hearing that it should stop is stopped all the same.
async fn insist(call: Arc<Call>, shared: Arc<Shared>) {
    for look in 1_u32.. {
        tokio::time::sleep(LOOK * look.min(LOOKS)).await;
        let Stage::On(isolate) = call.stage() else { return };
        isolate.interrupt();
        if look == LOOKS {
            shared.retire(&isolate);
        }
    }
}

/// The rest of a streamed reply.
struct Pieces {
    leash: Leash,
    pipe: Arc<Pipe>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { leash, pipe } = self.get_mut();
        leash.poll(cx, |_, cx| pipe.poll(cx)).map(|next| match next {
            Next::Piece { bytes, room } => {
                if room && let Stage::On(isolate) = leash.call.stage() {
                    isolate.send(Message::Room(leash.call.clone()));
                }
                Some(Ok(bytes))
            }
            Next::End => None,
            Next::Broken(error) => Some(Err(error)),
        })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.pipe.abandon() && !self.leash.told {
            let reason = self.leash.cancel.reason().unwrap_or(CancelReason::ClientGone);
            self.leash.stop(reason);
        }
    }
}
