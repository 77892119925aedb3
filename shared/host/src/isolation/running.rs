//! The calls that a worker runs.

use std::{
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::{BufMut as _, Bytes};
use contract::{Body, CancelReason, HandlerError, Hold, Invocation, Place, Reply, cancel::Canceller};
use rustc_hash::FxHashMap;

use super::{
    body::{Assembly, Credit, Inbound, Incoming, panicked},
    errors::{put_error, read_error, read_reason},
    frame::{Fields, Frame, Kind, Malformed, put_text},
    link::Link,
    meter::Meter,
    words::{CallHead, Placed, ReplyHead, put_done, put_gauges},
};
use crate::language::{AnyEngine, Invoke};

/// How long the engine may take to say where a call was.
const WHERE: Duration = Duration::from_secs(1);

/// A reply's body up to this size goes with its head.
pub(super) const INLINE: usize = super::link::PIECE;

/// The calls, and the engine that runs them.
pub(super) struct Calls {
    engine: Mutex<Option<Arc<dyn AnyEngine>>>,
    link: Arc<Link>,
    known: Mutex<FxHashMap<u32, Known>>,
    meter: Arc<Meter>,
}

/// A call that the host may still say something about.
enum Known {
    /// Its body is on its way.
    Arriving(Box<CallHead>, Assembly, Option<CancelReason>),
    Running(Arc<Running>),
}

/// A call that the engine has.
struct Running {
    canceller: Canceller,
    /// The host's leave to send a streamed reply.
    replying: Credit,
    /// The request's body, when it is streamed.
    body: Option<Arc<Inbound>>,
    progress: Progress,
}

const REPLIED: u8 = 1;
const DONE: u8 = 2;

/// What of a call has come to its end: the reply and the user code do so in any order.
#[derive(Debug, Default)]
struct Progress {
    state: AtomicU8,
    /// Nanoseconds of processor time, once the user code is done.
    cpu: AtomicU64,
}

impl Progress {
    fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.load(Ordering::Acquire))
    }
}

/// What a call's place holds in a worker.
struct Held {
    link: Arc<Link>,
    call: u32,
    running: Arc<Running>,
    meter: Arc<Meter>,
    begun: Duration,
}

impl Hold for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.meter.end(self.begun).as_nanos()).unwrap_or_default();
        let progress = &self.running.progress;
        progress.cpu.store(nanoseconds, Ordering::Release);
        // Until the reply goes out, its head tells that the call is done.
        if progress.state.fetch_or(DONE, Ordering::AcqRel) & REPLIED != 0 {
            let cpu = progress.cpu();
            self.link.send(Kind::Done, self.call, |buffer| put_done(buffer, Some(cpu)));
        }
    }
}

impl Calls {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { engine: Mutex::new(None), link, known: Mutex::default(), meter: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<u32, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> MutexGuard<'_, Option<Arc<dyn AnyEngine>>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The function is loaded; the host may send calls.
    pub(super) fn start(&self, engine: Arc<dyn AnyEngine>) {
        let capacity = engine.capacity().map_or(0, std::num::NonZeroUsize::get);
        let (version, streams) = (engine.runtime_version(), engine.streams_requests());
        *self.engine() = Some(engine);
        self.link.send(Kind::Loaded, 0, |buffer| {
            buffer.put_u64_le(capacity as u64);
            buffer.put_u8(u8::from(streams));
            put_text(buffer, version);
        });
    }

    /// Tells the host how the engine does, once it knows.
    pub(super) fn tell_gauges(&self) {
        let Some(engine) = self.engine().clone() else { return };
        let link = self.link.clone();
        tokio::spawn(async move {
            let gauges = engine.gauges().await;
            link.send(Kind::Gauges, 0, |buffer| put_gauges(buffer, &gauges));
        });
    }

    /// Gives up the engine. It ends when the last call lets go of it.
    pub(super) fn stop(&self) -> Option<Arc<dyn AnyEngine>> {
        self.engine().take()
    }

    /// The host says something.
    pub(super) fn take(self: &Arc<Self>, mut frame: Frame) -> Result<(), Malformed> {
        let Frame { kind, call, payload } = &mut frame;
        match kind {
            Kind::Call => self.begin(*call, payload),
            Kind::Cancel => {
                self.cancel(*call, read_reason(payload)?);
                Ok(())
            }
            Kind::Piece => self.piece(*call, payload.rest()),
            Kind::End => {
                self.body(*call, |body| body.end(Ok(())));
                Ok(())
            }
            Kind::Broken => {
                let error = read_error(payload)?;
                self.body(*call, |body| body.end(Err(error)));
                Ok(())
            }
            Kind::Taken => {
                let bytes = payload.u32()?;
                self.with(*call, |running| running.replying.taken(bytes));
                Ok(())
            }
            Kind::Unread => {
                self.with(*call, |running| running.replying.unread());
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn cancel(&self, call: u32, reason: CancelReason) {
        if let Some(Known::Arriving(.., cancelled)) = self.known().get_mut(&call) {
            *cancelled = Some(reason);
            return;
        }
        self.with(call, |running| running.canceller.fire(reason));
        if reason == CancelReason::Deadline {
            self.ask_where(call);
        }
    }

    /// What the host says of a call that is over already means nothing.
    fn with(&self, call: u32, act: impl FnOnce(&Arc<Running>)) {
        if let Some(Known::Running(running)) = self.known().get(&call) {
            act(running);
        }
    }

    /// Tells the host where the call was when its time was over, if the engine tells us.
    fn ask_where(&self, call: u32) {
        let mut asked = None;
        self.with(call, |running| asked = Some(running.clone()));
        let (Some(asked), link) = (asked, self.link.clone()) else { return };
        tokio::spawn(async move {
            if let Ok(stack) = tokio::time::timeout(WHERE, asked.canceller.whereabouts()).await {
                link.send(Kind::Whereabouts, call, |buffer| put_text(buffer, stack));
            }
        });
    }

    fn body(&self, call: u32, act: impl FnOnce(&Inbound)) {
        let body = match self.known().get(&call) {
            Some(Known::Running(running)) => running.body.clone(),
            _ => None,
        };
        if let Some(body) = body {
            act(&body);
        }
    }

    fn begin(self: &Arc<Self>, call: u32, payload: &mut Fields) -> Result<(), Malformed> {
        let (head, placed) = CallHead::read(payload)?;
        match placed {
            Placed::Nowhere => self.run(call, head, Body::Empty, None),
            Placed::Here => self.run(call, head, Body::from(payload.rest()), None),
            Placed::Whole(size) => {
                let arriving = Known::Arriving(Box::new(head), Assembly::of(size), None);
                self.known().insert(call, arriving);
            }
            Placed::Streamed => {
                let inbound = Arc::<Inbound>::default();
                let incoming = Incoming::on_demand(inbound.clone(), self.link.clone(), call);
                self.run(call, head, Body::Stream(Box::pin(incoming)), Some(inbound));
            }
        }
        Ok(())
    }

    fn piece(self: &Arc<Self>, call: u32, piece: Bytes) -> Result<(), Malformed> {
        let mut known = self.known();
        let Some(Known::Arriving(_, assembly, _)) = known.get_mut(&call) else {
            drop(known);
            self.body(call, |body| body.piece(piece));
            return Ok(());
        };
        if let Some(body) = assembly.add(&piece)? {
            let arrived = known.remove(&call);
            drop(known);
            if let Some(Known::Arriving(head, _, cancelled)) = arrived {
                self.run(call, *head, Body::from(body), None);
                cancelled.into_iter().for_each(|reason| self.cancel(call, reason));
            }
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, call: u32, head: CallHead, body: Body, inbound: Option<Arc<Inbound>>) {
        let Some(engine) = self.engine().clone() else { return };
        let (canceller, cancel) = Canceller::new();
        let (replying, progress) = (Credit::ahead(), Progress::default());
        let running = Arc::new(Running { canceller, replying, body: inbound, progress });
        self.known().insert(call, Known::Running(running.clone()));
        let place = Place::new(Held {
            link: self.link.clone(),
            call,
            running: running.clone(),
            meter: self.meter.clone(),
            begun: self.meter.begin(),
        });
        let CallHead { method, uri, version, headers, remote, ids, deadline } = head;
        let invocation =
            Invocation { method, uri, version, headers, body, remote, ids, deadline, cancel, place };
        let calls = self.clone();
        tokio::spawn(async move {
            // Kept until a streamed reply has ended as well.
            let _kept = engine.clone();
            let result = catching(engine.invoke(invocation)).await;
            let done = running.progress.state.fetch_or(REPLIED, Ordering::AcqRel) & DONE != 0;
            let done = done.then(|| running.progress.cpu());
            calls.answer(call, &running.replying, result, done).await;
            calls.known().remove(&call);
        });
    }

    async fn answer(
        &self,
        call: u32,
        credit: &Credit,
        result: Result<Reply, HandlerError>,
        done: Option<Duration>,
    ) {
        let mut reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                return self.link.send(Kind::Failed, call, |buffer| {
                    put_done(buffer, done);
                    put_error(buffer, &error);
                });
            }
        };
        let head = ReplyHead { status: reply.status, headers: mem::take(&mut reply.headers), done };
        let send = |placed, bytes| {
            self.link.send_with(Kind::Reply, call, |buffer| head.put(placed, buffer), bytes);
        };
        match reply.body {
            Body::Empty => send(Placed::Nowhere, Bytes::new()),
            Body::Whole(bytes) if bytes.len() <= INLINE => send(Placed::Here, bytes),
            Body::Whole(bytes) => {
                send(Placed::Whole(bytes.len() as u64), Bytes::new());
                self.link.send_body(call, bytes);
            }
            Body::Stream(stream) => {
                send(Placed::Streamed, Bytes::new());
                credit.pump(&self.link, call, stream).await;
            }
        }
    }
}

/// A panic of the engine costs its call, not the worker.
async fn catching(mut run: Invoke) -> Result<Reply, HandlerError> {
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(panicked())))
    })
    .await
}
