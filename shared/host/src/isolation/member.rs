//! One worker as the host sees it.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes};
use contract::{Body, BodyStream, CancelReason, Cancelled, Gauges, HandlerError, Invocation, Reply};
use futures_core::Stream;
use tokio::sync::{Notify, oneshot, watch};

use super::{
    body::Credit,
    calls::{Calls, Entry, GRACE, Replying},
    fate::{Fate, Leave, Prospect},
    frame::{Frame, Kind, Malformed},
    link::{Link, PIECE},
    process::Process,
    room::Room,
    words::{CallHead, Placed},
};

/// A worker that has loaded the function.
#[derive(Debug)]
pub(super) struct Member {
    /// Counted up from 1 for the life of the host; names the worker in the log.
    pub(super) number: u64,
    pub(super) process: Arc<Process>,
    pub(super) link: Arc<Link>,
    calls: Mutex<Calls>,
    /// How many calls it has, those that are about to be handed over included.
    running: AtomicUsize,
    /// How many of them are past their deadline, and should stop.
    stopping: AtomicUsize,
    /// How many it has been given.
    served: AtomicU64,
    /// A call has ended.
    pub(super) ended: Notify,
    /// Those who wait for any worker.
    room: Arc<Room>,
    /// Why it was ended, when it did not end by itself.
    fate: OnceLock<Fate>,
    /// When it was started.
    pub(super) born: Instant,
    /// It has to be replaced, at once or when its successor is ready.
    pub(super) leave: watch::Sender<Leave>,
    /// How its engine does, when it last said so.
    gauges: Mutex<Gauges>,
    gauges_told: Notify,
}

impl Member {
    pub(super) fn new(number: u64, process: Arc<Process>, link: Arc<Link>, room: Arc<Room>) -> Self {
        Self {
            number,
            process,
            link,
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
            stopping: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            ended: Notify::new(),
            room,
            fate: OnceLock::new(),
            born: Instant::now(),
            leave: watch::Sender::new(Leave::Stays),
            gauges: Mutex::default(),
            gauges_told: Notify::new(),
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls it has.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether it has calls that should stop and still run: they may keep its other calls from being answered.
    pub(super) fn is_doubtful(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) > 0
    }

    /// How many calls it has been given.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Counts a call that is about to be handed over.
    pub(super) fn reserve(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands over a call that [`reserve`](Self::reserve) has counted. It comes back when the worker is not there any
    /// more.
    pub(super) fn hand_over(self: &Arc<Self>, mut call: Invocation) -> Result<Handed, Box<Invocation>> {
        let body = std::mem::take(&mut call.body);
        let (placed, inline, whole, stream) = match body {
            Body::Empty => (Placed::Nowhere, Bytes::new(), None, None),
            Body::Whole(bytes) if bytes.len() <= PIECE => (Placed::Here, bytes, None, None),
            Body::Whole(bytes) => (Placed::Whole(bytes.len() as u64), Bytes::new(), Some(bytes), None),
            Body::Stream(stream) => (Placed::Streamed, Bytes::new(), None, Some(stream)),
        };
        let (answer, answered) = oneshot::channel();
        let credit = stream.is_some().then(|| Arc::new(Credit::on_demand()));
        let mut calls = self.calls();
        if calls.lost.is_some() {
            drop(calls);
            self.running.fetch_sub(1, Ordering::Relaxed);
            call.body = whole.or((!inline.is_empty()).then_some(inline)).map_or(Body::Empty, Body::Whole);
            if let Some(stream) = stream {
                call.body = Body::Stream(stream);
            }
            return Err(Box::new(call));
        }
        let number = calls.free_number();
        self.served.fetch_add(1, Ordering::Relaxed);
        // The worker reads frames in the order in which numbers are given.
        self.link.send_with(Kind::Call, number, |buffer| CallHead::put(&call, placed, buffer), inline);
        let entry = Entry {
            deadline: call.deadline,
            stopping: false,
            witness: call.cancel.witness(),
            cpu: Duration::ZERO,
            place: Some(call.place),
            replying: Replying::NotYet(answer),
            sending: credit.clone(),
        };
        calls.known.insert(number, entry);
        drop(calls);
        if let Some(bytes) = whole {
            self.link.send_body(number, bytes);
        }
        if let Some((stream, credit)) = stream.zip(credit) {
            let link = self.link.clone();
            tokio::spawn(async move { credit.pump(&link, number, stream).await });
        }
        Ok(Handed { member: self.clone(), call: number, answered, cancel: call.cancel })
    }

    fn cancel(&self, calls: &mut Calls, call: u32, reason: CancelReason) {
        let Some(entry) = calls.known.get_mut(&call) else { return };
        // One whose client has left keeps the time that it had: nothing speaks against its worker yet.
        if reason == CancelReason::Deadline && !std::mem::replace(&mut entry.stopping, true) {
            self.stopping.fetch_add(1, Ordering::Relaxed);
        }
        self.link.send(Kind::Cancel, call, |buffer| buffer.put_u8(reason.index() as u8));
    }

    /// The worker says something about a call.
    pub(super) fn take(&self, frame: Frame) -> Result<(), Malformed> {
        let mut after = self.calls().take(frame, &self.link)?;
        self.forget(after.over.take());
        after.happen();
        Ok(())
    }

    fn forget(&self, over: Option<Entry>) {
        if let Some(entry) = over {
            if entry.stopping {
                self.stopping.fetch_sub(1, Ordering::Relaxed);
            }
            entry.fail(|| HandlerError::Stopped);
            self.running.fetch_sub(1, Ordering::SeqCst);
            self.ended.notify_one();
            self.room.free();
        }
    }

    /// Kills it for a reason.
    pub(super) fn kill(&self, fate: Fate) {
        let _ = self.fate.set(fate);
        self.process.kill();
    }

    /// Sees to it that it is replaced. What is more urgent counts.
    pub(super) fn has_to_leave(&self, leave: Leave) {
        self.leave.send_if_modified(|now| {
            let urgent = leave > *now;
            *now = leave.max(*now);
            urgent
        });
    }

    /// It is about to end, for this reason.
    pub(super) fn expect(&self, fate: Fate) {
        let _ = self.fate.set(fate);
    }

    /// Asks it to come to an end.
    pub(super) fn finish(&self) {
        let _ = self.fate.set(Fate::Finished);
        self.link.send(Kind::Finish, 0, |_| {});
    }

    /// Why it was ended; `None` when it ended by itself.
    pub(super) fn fate(&self) -> Option<Fate> {
        self.fate.get().copied()
    }

    /// Whether there are calls whose user code still runs so long after their deadline that they are to be given up.
    pub(super) fn has_overdue(&self, now: Instant) -> bool {
        self.calls().known.values().any(|entry| entry.is_overdue(now))
    }

    /// Gives these calls up. Their places go to others: the worker has to go for them.
    pub(super) fn give_up_overdue(&self, now: Instant) {
        let mut calls = self.calls();
        let late: Vec<Entry> =
            calls.known.extract_if(|_, entry| entry.is_overdue(now)).map(|(_, entry)| entry).collect();
        calls.stuck |= !late.is_empty();
        drop(calls);
        for entry in late {
            self.forget(Some(entry));
        }
    }

    /// Charges the calls that run with processor time that the worker has taken, and stops those that have had more
    /// than `limit`.
    pub(super) fn charge(&self, cpu: Duration, limit: Duration) {
        let mut calls = self.calls();
        let running = u32::try_from(calls.known.len()).unwrap_or(u32::MAX).max(1);
        let mut over = Vec::new();
        for (call, entry) in &mut calls.known {
            entry.cpu += cpu / running;
            if entry.cpu > limit && !matches!(entry.replying, Replying::Over) {
                // From here on it is as late as one whose time on the clock is over.
                entry.deadline = entry.deadline.min(Instant::now());
                over.push((*call, std::mem::replace(&mut entry.replying, Replying::Over)));
            }
        }
        for (call, _) in &over {
            self.cancel(&mut calls, *call, CancelReason::Deadline);
        }
        drop(calls);
        for (_, replying) in over {
            replying.fail(|| HandlerError::OutOfCpu(limit));
        }
    }

    /// Asks the engine how it does, and waits until it has said so.
    pub(super) async fn ask_gauges(&self, patience: Duration) {
        let told = self.gauges_told.notified();
        self.link.send(Kind::AskGauges, 0, |_| {});
        let _ = tokio::time::timeout(patience, told).await;
    }

    pub(super) fn told_gauges(&self, gauges: Gauges) {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
        self.gauges_told.notify_waiters();
    }

    /// How its engine did when it last said so.
    pub(super) fn gauges(&self) -> Gauges {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a worker that gets no new calls is still good for.
    pub(super) fn prospect(&self, now: Instant) -> Prospect {
        self.give_up_overdue(now);
        let calls = self.calls();
        match calls.known.values().map(|entry| entry.deadline + GRACE).max() {
            Some(last) => Prospect::Busy { until: last },
            None if calls.stuck => Prospect::Stuck,
            None => Prospect::Idle,
        }
    }

    /// Nobody will hear of the worker's calls from it any more.
    pub(super) fn lose(&self, why: &str) {
        let mut calls = self.calls();
        calls.lost.get_or_insert_with(|| why.to_owned());
        let known = std::mem::take(&mut calls.known);
        drop(calls);
        self.running.fetch_sub(known.len(), Ordering::Relaxed);
        self.stopping.store(0, Ordering::Relaxed);
        for entry in known.into_values() {
            entry.fail(|| HandlerError::Lost(why.to_owned()));
        }
        self.ended.notify_one();
    }
}

/// A call that a worker has, until it is answered.
pub(super) struct Handed {
    member: Arc<Member>,
    call: u32,
    answered: oneshot::Receiver<Result<Reply, HandlerError>>,
    cancel: Cancelled,
}

impl Handed {
    /// Waits for the answer, and tells the worker when nobody else does.
    pub(super) async fn answer(mut self) -> Result<Reply, HandlerError> {
        let mut told = false;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut self.answered).poll(cx) {
                return Poll::Ready(answer);
            }
            if !told && let Poll::Ready(reason) = self.cancel.poll_cancelled(cx) {
                told = true;
                self.member.cancel(&mut self.member.calls(), self.call, reason);
            }
            Poll::Pending
        });
        let gone = || HandlerError::Lost("its worker forgot it".to_owned());
        let mut reply = answer.await.unwrap_or_else(|_| Err(gone()))?;
        if let Body::Stream(stream) = reply.body {
            let Self { member, call, cancel, .. } = self;
            reply.body = Body::Stream(Box::pin(Held { stream, cancel, member, call }));
        }
        Ok(reply)
    }
}

/// A streamed reply in the server's hands.
struct Held {
    stream: BodyStream,
    cancel: Cancelled,
    member: Arc<Member>,
    call: u32,
}

impl Stream for Held {
    type Item = Result<Bytes, HandlerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut calls = self.member.calls();
        if let Some(reason) = self.cancel.reason() {
            self.member.cancel(&mut calls, self.call, reason);
        }
        let Some(entry) = calls.known.get_mut(&self.call) else { return };
        entry.replying = Replying::Over;
        let over = if entry.is_over() { calls.known.remove(&self.call) } else { None };
        drop(calls);
        self.member.forget(over);
    }
}
