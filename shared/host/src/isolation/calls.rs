//! What the host remembers of the calls that a worker has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use contract::{Body, HandlerError, Place, Reply, Witness};
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use super::{
    body::{Assembly, Credit, Inbound, Incoming},
    errors::read_error,
    frame::{Fields, Frame, Kind, Malformed},
    link::Link,
    words::{Placed, ReplyHead, read_done},
};

/// How long after its deadline a call may go on: the time that a soft stop needs.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// Where a call's answer is waited for.
type Answer = oneshot::Sender<Result<Reply, HandlerError>>;

#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) known: FxHashMap<u32, Entry>,
    pub(super) last: u32,
    /// A call was given up that may still run.
    pub(super) stuck: bool,
    /// Why the worker can do nothing any more.
    pub(super) lost: Option<String>,
}

/// A call that the worker has.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) deadline: Instant,
    /// The worker was told to stop it, because its time is over.
    pub(super) stopping: bool,
    /// How the server learns where the call was when its time was over.
    pub(super) witness: Witness,
    /// The processor time that it has been charged so far.
    pub(super) cpu: Duration,
    /// Given back when the worker says that the user code is done.
    pub(super) place: Option<Place>,
    pub(super) replying: Replying,
    /// Leave to send the request's body, when it is streamed.
    pub(super) sending: Option<Arc<Credit>>,
}

/// How far a call's reply has come.
#[derive(Debug)]
pub(super) enum Replying {
    NotYet(Answer),
    Arriving(Answer, Reply, Assembly),
    Streaming(Arc<Inbound>),
    Over,
}

impl Replying {
    pub(super) fn fail(self, error: impl FnOnce() -> HandlerError) {
        match self {
            Self::NotYet(reply) | Self::Arriving(reply, ..) => drop(reply.send(Err(error()))),
            Self::Streaming(inbound) => inbound.end(Err(error())),
            Self::Over => {}
        }
    }
}

impl Entry {
    pub(super) fn fail(self, error: impl FnOnce() -> HandlerError) {
        self.replying.fail(error);
        if let Some(sending) = self.sending {
            sending.unread();
        }
    }

    /// Whether it has had its time, and the time to stop as well.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        now > self.deadline + GRACE
    }

    pub(super) fn is_over(&self) -> bool {
        self.place.is_none() && matches!(self.replying, Replying::Over)
    }
}

impl Calls {
    /// A number for a new call: 0 is no call, and one that runs for very long keeps its own.
    pub(super) fn free_number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.known.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// The worker says something about a call. What follows from it happens when nothing is locked any more.
    ///
    /// User code may have got hold of the worker's link and invent what it likes; and a call may have been given up
    /// meanwhile.
    pub(super) fn take(&mut self, frame: Frame, link: &Arc<Link>) -> Result<After, Malformed> {
        let Frame { kind, call, mut payload } = frame;
        let mut after = After::default();
        let Some(entry) = self.known.get_mut(&call) else { return Ok(after) };
        match kind {
            Kind::Reply => reply(entry, &mut payload, (link, call), &mut after)?,
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
        if entry.is_over() {
            after.over = self.known.remove(&call);
        }
        Ok(after)
    }
}

fn reply(
    entry: &mut Entry,
    payload: &mut Fields,
    (link, call): (&Arc<Link>, u32),
    after: &mut After,
) -> Result<(), Malformed> {
    let (head, placed) = ReplyHead::read(payload)?;
    after.place(entry, head.done);
    let answer = match std::mem::replace(&mut entry.replying, Replying::Over) {
        Replying::NotYet(answer) => answer,
        Replying::Over => {
            if placed == Placed::Streamed {
                link.send(Kind::Unread, call, |_| {});
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
            reply.body = Body::Stream(Box::pin(Incoming::ahead(inbound, link.clone(), call)));
        }
    }
    after.answer = Some((answer, Ok(reply)));
    Ok(())
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
pub(super) struct After {
    place: Option<Place>,
    answer: Option<(Answer, Result<Reply, HandlerError>)>,
    stream: Option<(Arc<Inbound>, Result<(), HandlerError>)>,
    /// Nothing more will be heard of this call.
    pub(super) over: Option<Entry>,
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

    /// The call that `over` holds is for the caller to forget.
    pub(super) fn happen(self) {
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
