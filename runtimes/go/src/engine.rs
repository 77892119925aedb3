//! The Go language behind the server's seam.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use contract::{
    Body, CancelReason, Cancelled, Capability, Engine, Gauges, HandlerError, HandlerSource, Invocation,
    Isolation, LoadError, Reply, env,
};
use futures_core::Stream;

use crate::{
    batch::{ENDED, Turn},
    call::{Arrived, Call, Next},
    convert,
    ffi::{Handle, Plugin, Start},
    share,
};

/// What the compile step leaves in the mount.
pub(crate) const PLUGIN: &str = "function.so";

/// A function built as a shared library.
pub(crate) struct GoEngine {
    plugin: Plugin,
}

impl Engine for GoEngine {
    const NAME: &'static str = "go";
    const CAPABILITIES: &'static [Capability] = &[
        Capability::AsyncHandlers,
        Capability::BinaryBody,
        Capability::Dependencies,
        Capability::StreamingReply,
        Capability::StreamingRequest,
        Capability::Multipart,
    ];
    const ISOLATION: Isolation = Isolation::Process;

    fn load(source: HandlerSource) -> Result<Self, LoadError> {
        let path = source.root.join(PLUGIN);
        if !path.is_file() {
            return Err(LoadError::NotFound(format!(
                "there is no {PLUGIN} in {}: compile the function with `funchost-go build` first",
                source.root.display()
            )));
        }
        let context = &source.context;
        let plugin = Plugin::open(
            &path,
            &Start {
                cpus: share::max_procs(&source.share),
                memory: share::memory(&source.share),
                crash_log: source.settings.text(&env::FUNC_TERMINATION_LOG).unwrap_or_default(),
                function_name: &context.function_name,
                timeout: &convert::timeout(context),
                runtime: context.runtime.as_deref().unwrap_or_default(),
                memory_limit: context.memory_limit.as_deref().unwrap_or_default(),
            },
        )
        .map_err(|error| error.into_load_error(&path))?;
        if plugin.handler != source.function {
            return Err(LoadError::NotFound(format!(
                "{} was built for the handler {}, and FUNC_HANDLER asks for {}: build it again with \
                 KUBELESS_FUNC_NAME={}",
                path.display(),
                plugin.handler,
                source.function,
                source.function
            )));
        }
        Ok(Self { plugin })
    }

    fn runtime_version(&self) -> String {
        convert::runtime_version(&self.plugin.go_version)
    }

    fn streams_requests(&self) -> bool {
        self.plugin.streams
    }

    async fn gauges(&self) -> Gauges {
        Gauges { tasks: Some(self.plugin.goroutines().await), ..Gauges::default() }
    }

    fn invoke(&self, call: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send {
        let begun = self.begin(call);
        async move {
            let mut link = begun?;
            if let Some(turn) = Turn::take(&self.plugin) {
                turn.come().await;
            }
            match poll_fn(|cx| link.poll(cx, Call::poll_arrived)).await? {
                Arrived::Whole(reply) => Ok(reply),
                Arrived::Head(mut reply) => {
                    reply.body = Body::Stream(Box::pin(Pieces(link)));
                    Ok(reply)
                }
            }
        }
    }
}

impl GoEngine {
    /// Hands a call to Go.
    fn begin(&self, call: Invocation) -> Result<Link, HandlerError> {
        let head = convert::head(&call);
        let Invocation { body, cancel, place, deadline, .. } = call;
        let (body, upload) = match body {
            Body::Stream(upload) if self.plugin.streams => (None, Some(upload)),
            body => (Some(body.whole()?), None),
        };
        ENDED.start();
        let handle = self.plugin.submit(head, body, deadline, Call::new(place, upload, cancel.witness()));
        Ok(Link { handle, cancel, told: false })
    }
}

/// A call that the plugin has, and the server's word that nobody waits for it any more.
struct Link {
    handle: Handle,
    cancel: Cancelled,
    told: bool,
}

impl Link {
    /// Asks the call for something, and meanwhile passes a cancellation on. The call is waited for even then: it is
    /// over when its handler returns.
    fn poll<T>(
        &mut self,
        cx: &mut task::Context<'_>,
        ask: impl FnOnce(&Call, &task::Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let answer = ask(self.handle.call(), cx);
        if answer.is_pending()
            && !self.told
            && let Poll::Ready(reason) = self.cancel.poll_cancelled(cx)
        {
            self.told = true;
            self.handle.cancel(reason);
        }
        answer
    }
}

/// The rest of a streamed reply.
struct Pieces(Link);

impl Stream for Pieces {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let link = &mut self.get_mut().0;
        link.poll(cx, Call::poll_next).map(|next| match next {
            Next::Piece { bytes, room } => {
                if room {
                    link.handle.make_room();
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
        if self.0.handle.call().leave() {
            self.0.handle.cancel(self.0.cancel.reason().unwrap_or(CancelReason::ClientGone));
        }
    }
}
