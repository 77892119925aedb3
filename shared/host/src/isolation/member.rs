//! One worker as the host sees it: the calls it has, and what comes of them.

use std::{
    collections::HashMap,
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes};
use contract::{Body, CancelReason, Cancelled, Gauges, HandlerError, Invocation, Place, Reply, Witness};
use futures_core::Stream;
use tokio::sync::{Notify, oneshot, watch};

use super::{
    body::{Assembly, Credit, Inbound, Incoming},
    frame::{CallHead, Fields, Frame, Kind, Malformed, Placed, ReplyHead, read_done, read_error},
    link::{Link, PIECE},
    process::Process,
};
use crate::metrics::WorkerEnd;

/// How long after its deadline a call may go on: the time that a soft stop needs.
pub(super) const GRACE: Duration = Duration::from_millis(300);

/// What a worker without new calls is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// It has calls in time; the last of them no longer than this.
    Busy { until: Instant },
    /// It has none, and some that were given up may still run.
    Stuck,
    /// It has none.
    Idle,
}

/// A worker that has loaded the function.
#[derive(Debug)]
pub(super) struct Member {
    /// Counted up from 1 for the life of the host; names the worker in the log.
    pub(super) number: u64,
    pub(super) process: Arc<Process>,
    pub(super) link: Arc<Link>,
    calls: Mutex<Calls>,
    /// How many calls it has; changed under the lock of `calls`.
    running: AtomicUsize,
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

/// Whether a worker has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leave {
    /// No.
    Stays,
    /// It has done its part; nothing is wrong with it.
    WhenReplaced,
    /// A call in it does not stop.
    AtOnce,
}

/// Why the host has ended a worker, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There is nothing left for it to do.
    Finished,
    /// It could not load the function.
    Refused,
    /// A call did not stop.
    Stuck,
    /// It had most of too much memory.
    Memory,
    /// It has let go of its link, or talks nonsense over it.
    Unlinked,
    /// The host ends, and it does not.
    Late,
}

impl Fate {
    /// How it is counted.
    pub(super) fn end(self) -> WorkerEnd {
        match self {
            Self::Finished => WorkerEnd::Finished,
            Self::Refused => WorkerEnd::Start,
            Self::Stuck => WorkerEnd::Stuck,
            Self::Memory => WorkerEnd::Memory,
            Self::Unlinked => WorkerEnd::Unlinked,
            Self::Late => WorkerEnd::Late,
        }
    }

    /// Reads after "the worker was killed:".
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Finished => "it was asked to end",
            Self::Refused => "it could not load the function",
            Self::Memory => "the workers had more memory than FUNC_MEMORY_LIMIT allows, and it had most",
            Self::Stuck => "a call did not stop when its time was over",
            Self::Unlinked => "it has closed its connection to the host, or misused it",
            Self::Late => "the host ends",
        }
    }
}

/// Calls that have a place and no worker: some worker is being replaced.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: AtomicUsize,
    freed: Notify,
}

impl Room {
    /// A worker can take another call.
    pub(super) fn free(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// A worker can take many calls.
    pub(super) fn free_all(&self) {
        self.freed.notify_waiters();
    }

    /// Waits until `take` has found a worker; `None` when the call was cancelled meanwhile.
    pub(super) async fn wait<T>(&self, cancel: &Cancelled, take: impl Fn() -> Option<T>) -> Option<T> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut cancelled = pin!(cancel.cancelled());
        let found = loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(found) = take() {
                break Some(found);
            }
            let reason = poll_fn(|cx| match cancelled.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => freed.as_mut().poll(cx).map(|()| false),
            });
            if reason.await {
                break None;
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found
    }
}

#[derive(Debug, Default)]
struct Calls {
    known: HashMap<u32, Entry>,
    last: u32,
    served: u64,
    /// A call was given up that may still run.
    stuck: bool,
    /// Why the worker can do nothing any more.
    lost: Option<String>,
}

/// A call that the worker has.
#[derive(Debug)]
struct Entry {
    deadline: Instant,
    /// How the server learns where the call was when its time was over.
    witness: Witness,
    /// The processor time that it has been charged so far.
    cpu: Duration,
    /// Given back when the worker says that the user code is done.
    place: Option<Place>,
    replying: Replying,
    /// Leave to send the request's body, when it is streamed.
    sending: Option<Arc<Credit>>,
}

/// How far a call's reply has come.
#[derive(Debug)]
enum Replying {
    NotYet(oneshot::Sender<Result<Reply, HandlerError>>),
    Arriving(oneshot::Sender<Result<Reply, HandlerError>>, Reply, Assembly),
    Streaming(Arc<Inbound>),
    Over,
}

impl Replying {
    fn fail(self, error: impl FnOnce() -> HandlerError) {
        match self {
            Self::NotYet(reply) | Self::Arriving(reply, ..) => drop(reply.send(Err(error()))),
            Self::Streaming(inbound) => inbound.end(Err(error())),
            Self::Over => {}
        }
    }
}

impl Entry {
    fn fail(self, error: impl FnOnce() -> HandlerError) {
        self.replying.fail(error);
        if let Some(sending) = self.sending {
            sending.unread();
        }
    }

    fn is_over(&self) -> bool {
        self.place.is_none() && matches!(self.replying, Replying::Over)
    }
}

impl Member {
    pub(super) fn new(number: u64, process: Arc<Process>, link: Arc<Link>, room: Arc<Room>) -> Self {
        Self {
            number,
            process,
            link,
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
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

    /// How many calls it has been given.
    pub(super) fn served(&self) -> u64 {
        self.calls().served
    }

    /// Counts a call that is about to be handed over.
    pub(super) fn reserve(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a call that [`reserve`](Self::reserve) has counted. It comes back when the worker is not there any more.
    pub(super) async fn run(
        self: Arc<Self>,
        mut call: Invocation,
    ) -> Result<Result<Reply, HandlerError>, Box<Invocation>> {
        let body = std::mem::take(&mut call.body);
        let (placed, inline, whole, stream) = match body {
            Body::Empty => (Placed::Nowhere, Bytes::new(), None, None),
            Body::Whole(bytes) if bytes.len() <= PIECE => (Placed::Here, bytes, None, None),
            Body::Whole(bytes) => (Placed::Whole(bytes.len() as u64), Bytes::new(), Some(bytes), None),
            Body::Stream(stream) => (Placed::Streamed, Bytes::new(), None, Some(stream)),
        };
        let (answer, mut answered) = oneshot::channel();
        let credit = stream.is_some().then(Credit::on_demand);
        let number = {
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
            calls.served += 1;
            // The worker reads frames in the order in which numbers are given.
            self.link.send_with(Kind::Call, number, |buffer| CallHead::put(&call, placed, buffer), inline);
            let entry = Entry {
                deadline: call.deadline,
                witness: call.cancel.witness(),
                cpu: Duration::ZERO,
                place: Some(call.place),
                replying: Replying::NotYet(answer),
                sending: credit.clone(),
            };
            calls.known.insert(number, entry);
            number
        };
        if let Some(bytes) = whole {
            self.link.send_body(number, bytes);
        }
        if let Some((stream, credit)) = stream.zip(credit) {
            let link = self.link.clone();
            tokio::spawn(async move { credit.pump(&link, number, stream).await });
        }
        let cancel = call.cancel;
        let mut told = false;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut answered).poll(cx) {
                return Poll::Ready(answer);
            }
            if !told && let Poll::Ready(reason) = cancel.poll_cancelled(cx) {
                told = true;
                self.cancel(number, reason);
            }
            Poll::Pending
        });
        let gone = || HandlerError::Lost("its worker forgot it".to_owned());
        let mut reply = match answer.await.unwrap_or_else(|_| Err(gone())) {
            Ok(reply) => reply,
            Err(error) => return Ok(Err(error)),
        };
        if let Body::Stream(stream) = reply.body {
            reply.body = Body::Stream(Box::pin(Held { stream, cancel, member: self.clone(), call: number }));
        }
        Ok(Ok(reply))
    }

    fn cancel(&self, call: u32, reason: CancelReason) {
        self.link.send(Kind::Cancel, call, |buffer| buffer.put_u8(reason.index() as u8));
    }

    /// The worker says something about a call.
    pub(super) fn take(&self, frame: Frame) -> Result<(), Malformed> {
        let Frame { kind, call, mut payload } = frame;
        let mut calls = self.calls();
        // User code may have got hold of the link and invent calls; and a call may have been given up meanwhile.
        let Some(entry) = calls.known.get_mut(&call) else { return Ok(()) };
        // Dropped, sent and woken after the lock has been let go of.
        let mut after = After::default();
        match kind {
            Kind::Reply => self.reply(entry, call, &mut payload, &mut after)?,
            Kind::Failed => {
                after.done(entry, &mut payload)?;
                let error = read_error(&mut payload)?;
                match std::mem::replace(&mut entry.replying, Replying::Over) {
                    Replying::NotYet(answer) => after.answer = Some((answer, Err(error))),
                    // It was answered without waiting for this.
                    Replying::Over => {}
                    _ => return Err(Malformed),
                }
            }
            Kind::Done => after.done(entry, &mut payload)?,
            Kind::Whereabouts => entry.witness.tell(payload.text()?, true),
            Kind::Piece => piece(entry, &payload.rest(), &mut after)?,
            Kind::End | Kind::Broken => {
                let end = if kind == Kind::End { Ok(()) } else { Err(read_error(&mut payload)?) };
                match std::mem::replace(&mut entry.replying, Replying::Over) {
                    Replying::Streaming(inbound) => after.stream = Some((inbound, end)),
                    Replying::Over => {}
                    _ => return Err(Malformed),
                }
            }
            Kind::Taken => {
                let bytes = payload.u32()?;
                entry.sending.iter().for_each(|credit| credit.taken(bytes));
            }
            Kind::Unread => entry.sending.iter().for_each(|credit| credit.unread()),
            _ => return Err(Malformed),
        }
        let over = if entry.is_over() { calls.known.remove(&call) } else { None };
        drop(calls);
        self.forget(over);
        after.happen();
        Ok(())
    }

    fn forget(&self, over: Option<Entry>) {
        if let Some(entry) = over {
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

    fn reply(
        &self,
        entry: &mut Entry,
        call: u32,
        payload: &mut Fields,
        after: &mut After,
    ) -> Result<(), Malformed> {
        let (head, placed) = ReplyHead::read(payload)?;
        after.place(entry, head.done);
        let answer = match std::mem::replace(&mut entry.replying, Replying::Over) {
            Replying::NotYet(answer) => answer,
            Replying::Over => {
                if placed == Placed::Streamed {
                    self.link.send(Kind::Unread, call, |_| {});
                }
                return Ok(());
            }
            _ => return Err(Malformed),
        };
        let mut reply = Reply { status: head.status, headers: head.headers, body: Body::Empty };
        match placed {
            Placed::Nowhere => {}
            Placed::Here => reply.body = Body::from(payload.rest()),
            Placed::Whole(size) => {
                entry.replying = Replying::Arriving(answer, reply, Assembly::of(size));
                return Ok(());
            }
            Placed::Streamed => {
                let inbound = Arc::<Inbound>::default();
                entry.replying = Replying::Streaming(inbound.clone());
                reply.body = Body::Stream(Box::pin(Incoming::ahead(inbound, self.link.clone(), call)));
            }
        }
        after.answer = Some((answer, Ok(reply)));
        Ok(())
    }

    /// Gives up the calls whose user code still runs so long after their deadline; whether there were any. Their places
    /// go to others: the worker has to go for them.
    pub(super) fn give_up_overdue(&self, now: Instant) -> bool {
        let mut calls = self.calls();
        let overdue = |entry: &Entry| now > entry.deadline + GRACE;
        if !calls.known.values().any(overdue) {
            return false;
        }
        calls.stuck = true;
        let late: Vec<Entry> =
            calls.known.extract_if(|_, entry| overdue(entry)).map(|(_, entry)| entry).collect();
        drop(calls);
        for entry in late {
            self.forget(Some(entry));
        }
        true
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
        drop(calls);
        for (call, replying) in over {
            self.cancel(call, CancelReason::Deadline);
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
        for entry in known.into_values() {
            entry.fail(|| HandlerError::Lost(why.to_owned()));
        }
        self.ended.notify_one();
    }
}

fn piece(entry: &mut Entry, piece: &Bytes, after: &mut After) -> Result<(), Malformed> {
    match &mut entry.replying {
        Replying::Streaming(inbound) => return inbound.piece_ahead(piece.clone()),
        Replying::Arriving(_, _, assembly) => {
            let Some(body) = assembly.add(piece)? else { return Ok(()) };
            let arrived = std::mem::replace(&mut entry.replying, Replying::Over);
            if let Replying::Arriving(answer, mut reply, _) = arrived {
                reply.body = Body::from(body);
                after.answer = Some((answer, Ok(reply)));
            }
        }
        // Its reader has gone.
        Replying::Over => {}
        Replying::NotYet(_) => return Err(Malformed),
    }
    Ok(())
}

/// What follows from a frame once nothing is locked any more.
#[derive(Default)]
struct After {
    place: Option<Place>,
    answer: Option<(oneshot::Sender<Result<Reply, HandlerError>>, Result<Reply, HandlerError>)>,
    stream: Option<(Arc<Inbound>, Result<(), HandlerError>)>,
}

impl After {
    fn done(&mut self, entry: &mut Entry, payload: &mut Fields) -> Result<(), Malformed> {
        let done = read_done(payload)?;
        self.place(entry, done);
        Ok(())
    }

    fn place(&mut self, entry: &mut Entry, done: Option<Duration>) {
        if let Some(cpu) = done {
            self.place = entry.place.take();
            self.place.iter().for_each(|place| place.spent(cpu));
        }
    }

    fn happen(self) {
        // The place first: whoever waits for it finds it free when the answer is there.
        drop(self.place);
        if let Some((answer, result)) = self.answer {
            let _ = answer.send(result);
        }
        if let Some((inbound, end)) = self.stream {
            inbound.end(end);
        }
    }
}

impl Calls {
    fn free_number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            // 0 is no call, and one that runs for very long keeps its number.
            if self.last != 0 && !self.known.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

/// A streamed reply in the server's hands.
struct Held {
    stream: contract::BodyStream,
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
        let Some(entry) = calls.known.get_mut(&self.call) else { return };
        if let Some(reason) = self.cancel.reason() {
            self.member.cancel(self.call, reason);
        }
        entry.replying = Replying::Over;
        let over = if entry.is_over() { calls.known.remove(&self.call) } else { None };
        drop(calls);
        self.member.forget(over);
    }
}
