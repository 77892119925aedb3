//! A call from the moment the engine has it: its deadline, its cancellation, and what happens after the client has
//! been answered.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use contract::{CallIds, CancelReason, HandlerError, Reply, cancel::Canceller};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep},
};

use super::place::CallState;
use crate::{
    language::Invoke,
    lifecycle::{Lifecycle, Phase},
    log::TraceId,
    metrics::Metrics,
};

/// A call that still runs this long after it was cancelled counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// How long the engine may take to say where a call was when its time was over.
const WHERE: Duration = Duration::from_millis(500);

/// What is needed to cancel a call and to see it to its end.
pub(crate) struct Leash {
    /// Tells the engine.
    pub(crate) canceller: Canceller,
    /// Whether user code still runs.
    pub(crate) state: Arc<CallState>,
    /// What the call is called.
    pub(crate) ids: CallIds,
    /// Where it is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Why connections are let go of.
    pub(crate) lifecycle: Lifecycle,
}

impl Leash {
    /// Nobody waits for the call any more: its client has gone, or the process is about to.
    pub(crate) fn let_go(self, invoke: Option<Invoke>) {
        let aborting = self.lifecycle.phase() == Phase::Aborting;
        let reason = if aborting { CancelReason::Shutdown } else { CancelReason::ClientGone };
        self.cancel(reason);
        tokio::spawn(self.see_to_its_end(invoke));
    }

    /// The call's time is over. It is logged, with where the call was, if the caller blames the function for it.
    pub(crate) fn overdue(self, invoke: Option<Invoke>) -> Blame {
        let (blame, blamed) = oneshot::channel::<String>();
        self.cancel(CancelReason::Deadline);
        tokio::spawn(async move {
            let mut invoke = invoke;
            if let Ok(problem) = blamed.await {
                self.tell_where(&problem, &mut invoke).await;
            }
            self.see_to_its_end(invoke).await;
        });
        Blame(blame)
    }

    /// The engine itself has stopped the call, because of this problem; it is logged.
    pub(crate) fn stopped(self, problem: String) {
        tokio::spawn(async move { self.tell_where(&problem, &mut None).await });
    }

    fn cancel(&self, reason: CancelReason) {
        self.canceller.fire(reason);
        self.metrics.cancelled(reason);
    }

    /// Looks after a call that was told to stop: `invoke`, if the engine still runs it, is driven to its end, and if the
    /// user code does not stop, that is counted and logged.
    async fn see_to_its_end(self, mut invoke: Option<Invoke>) {
        let patience = Instant::now() + STUCK_AFTER;
        if let Some(future) = invoke.as_mut()
            && tokio::time::timeout_at(patience, future).await.is_ok()
        {
            invoke = None;
        }
        // Also when the future is over: a stream's producer may still run.
        tokio::time::sleep_until(patience).await;
        if self.state.mark_stuck(&self.metrics) {
            tracing::warn!(
                request_id = self.ids.request_id.as_str(),
                trace_id = %TraceId(&self.ids),
                "a cancelled call does not stop: its place stays taken until it does"
            );
        }
        if let Some(future) = invoke {
            drop(future.await);
        }
    }

    /// Logs why a call was stopped, and where its user code was then. `invoke` is driven on meanwhile, and taken when
    /// it comes to its end.
    async fn tell_where(&self, problem: &str, invoke: &mut Option<Invoke>) {
        let ended = async {
            match invoke {
                Some(future) => drop(future.await),
                None => std::future::pending().await,
            }
        };
        let (stack, ended) = tokio::select! {
            stack = self.canceller.whereabouts() => (stack, false),
            () = ended => {
                // It may have told right before.
                let told = tokio::time::timeout(Duration::ZERO, self.canceller.whereabouts()).await;
                (told.unwrap_or_default(), true)
            }
            () = tokio::time::sleep(WHERE) => (String::new(), false),
        };
        if ended {
            *invoke = None;
        }
        let ids = &self.ids;
        tracing::error!(request_id = ids.request_id.as_str(), trace_id = %TraceId(ids), stack, "{problem}");
    }
}

/// The question whether the function is to blame for a call whose time is over. Dropping it says no.
pub(crate) struct Blame(oneshot::Sender<String>);

impl Blame {
    /// The function did not finish within `timeout`.
    pub(crate) fn function(self, timeout: Duration) {
        let _ = self.0.send(format!("the function did not finish within {} s", timeout.as_secs_f64()));
    }
}

/// How a call ended, seen from the one who waits for it.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the rule, and boxing it would cost every call"
)]
pub(crate) enum Ended {
    /// The engine is done, or streams its reply.
    Replied(Result<Reply, HandlerError>, Leash),
    /// The deadline came first; the call was told to stop.
    TimedOut(Blame),
}

/// Drives a call until it replies or its deadline comes. Dropping it earlier means that the client has gone.
pub(crate) struct Running {
    call: Option<(Invoke, Leash)>,
    deadline: Instant,
    /// Made only when the engine does not answer at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Running {
    pub(crate) fn new(invoke: Invoke, leash: Leash, deadline: Instant) -> Self {
        Self { call: Some((invoke, leash)), deadline, timer: None }
    }
}

impl Future for Running {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = self.get_mut();
        let Some((invoke, _)) = this.call.as_mut() else { unreachable!("polled after it was ready") };
        let polled = catch_unwind(AssertUnwindSafe(|| invoke.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(HandlerError::Lost("the engine panicked".to_owned()))));
        if let Poll::Ready(result) = polled {
            return match this.call.take() {
                Some((_, leash)) => Poll::Ready(Ended::Replied(result, leash)),
                None => unreachable!("the call was there a line before"),
            };
        }
        let deadline = this.deadline;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        match this.call.take() {
            Some((invoke, leash)) => Poll::Ready(Ended::TimedOut(leash.overdue(Some(invoke)))),
            None => unreachable!("the call was there a few lines before"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((invoke, leash)) = self.call.take() {
            leash.let_go(Some(invoke));
        }
    }
}
