//! What one isolate knows about its calls: which run, whose code is running, and how each ends.

use std::{
    cell::{Cell, RefCell},
    path::Path,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use contract::{CallIds, CancelReason, Failure, HandlerError, OutputStream, Reply, env};
use deno_core::v8;
use deno_runtime::worker::MainWorker;
use nix::time::ClockId;
use rustc_hash::FxHashMap;

use crate::{
    batch::ANSWERS,
    call::Call,
    convert::{self, Meaning},
    error,
    ffi::Buffers,
    interrupt,
    load::Sdk,
    output::Printer,
    pipe::Pipe,
    pool::{Isolate, Shared},
};

/// Code of which nobody knows whose it is may keep the isolate for this long when a call should have been stopped.
const GRACE: Duration = Duration::from_secs(1);
/// For how much processor time code that should stop may be let go on. All of Node's modules are loaded in less.
const SPARED: Duration = Duration::from_millis(500);
/// Answered calls whose promises are still waited for. Promises that never settle must not fill the memory.
const REMEMBERED: usize = 10_000;

/// What the isolate's native functions work with. It is in a slot of the isolate.
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) isolate: Arc<Isolate>,
    pub(crate) context: v8::Global<v8::Context>,
    pub(crate) sdk: Sdk,
    pub(crate) printer: Printer,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) running: RefCell<FxHashMap<u32, Rc<Running>>>,
    /// Calls that JavaScript holds something of and that ended without its doing, with the reason if they were stopped.
    pub(crate) over: RefCell<Vec<(u32, Option<CancelReason>)>>,
    /// Calls that the function has answered while its promise was still open: it may be rejected yet.
    pub(crate) answered: RefCell<FxHashMap<u32, CallIds>>,
    /// The heap has come to its limit.
    pub(crate) full: Cell<bool>,
    /// When this turn of the event loop began.
    pub(crate) turn: Cell<Instant>,
    /// The thread's processor time when what it runs should have been stopped for the first time in this turn.
    pub(crate) spared: Cell<Option<Duration>>,
}

/// A call whose user code runs.
pub(crate) struct Running {
    pub(crate) call: Arc<Call>,
    /// JavaScript holds a request and a response, or an abort signal.
    pub(crate) held: Cell<bool>,
    /// The function has seen the response: the answer goes through it.
    pub(crate) touched: Cell<bool>,
    /// The handler's promise is open.
    pending: Cell<bool>,
    /// Of an answer that has begun.
    pub(crate) pipe: RefCell<Option<Arc<Pipe>>>,
}

impl State {
    /// The folder of the function.
    pub(crate) fn root(&self) -> &Path {
        &self.shared.parts.root
    }

    pub(crate) fn source(&self) -> &contract::HandlerSource {
        &self.shared.source
    }

    pub(crate) fn running(&self, number: u32) -> Option<Rc<Running>> {
        self.running.borrow().get(&number).cloned()
    }

    /// The call whose user code runs, as V8's continuation data says.
    pub(crate) fn current(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<Rc<Running>> {
        let data = scope.get_continuation_preserved_embedder_data().try_cast::<v8::Object>().ok()?;
        let key = v8::String::new(scope, interrupt::KEY)?;
        let number = data.get(scope, key.into())?.try_cast::<v8::Number>().ok()?;
        self.running(number.value() as u32)
    }

    /// A turn of the event loop begins.
    pub(crate) fn begin_turn(&self) -> Instant {
        let now = Instant::now();
        self.turn.set(now);
        self.spared.set(None);
        now
    }

    /// Whether what should stop may go on for now, until it is asked for again.
    pub(crate) fn spare(&self) -> bool {
        let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default();
        let since = self.spared.get().unwrap_or(now);
        self.spared.set(Some(since));
        now.saturating_sub(since) < SPARED
    }

    /// A call that should have stopped, when nothing else has had a chance to run for long.
    pub(crate) fn held_up(&self) -> Option<Rc<Running>> {
        if self.turn.get().elapsed() < GRACE {
            return None;
        }
        self.running.borrow().values().find(|running| running.call.stopped().is_some()).cloned()
    }

    pub(crate) fn print(&self, stream: OutputStream, bytes: &[u8], running: Option<&Running>) {
        let (number, ids) = running.map(|running| (running.call.number, &running.call.ids)).unzip();
        self.printer.write(stream, bytes, number, ids);
    }

    /// Reports an error that no answer can carry.
    pub(crate) fn stray(&self, failure: &Failure, running: Option<&Running>) {
        self.source().output.stray_failure(failure, running.map(|running| &running.call.ids));
    }

    /// The isolate takes no calls any more.
    pub(crate) fn retire(&self) {
        self.shared.retire(&self.isolate);
    }

    /// Calls the handler.
    pub(crate) fn begin(&self, scope: &mut v8::PinScope<'_, '_>, call: Arc<Call>) {
        v8::scope!(let scope, scope);
        let number = call.number;
        let arguments = match convert::arguments(scope, &call) {
            Ok(arguments) => arguments,
            Err(error) => return call.finish(Err(error)),
        };
        let running = Running {
            call,
            held: Cell::new(false),
            touched: Cell::new(false),
            pending: Cell::new(false),
            pipe: RefCell::default(),
        };
        let running = Rc::new(running);
        self.running.borrow_mut().insert(number, running.clone());
        match self.sdk.invoke(scope, &arguments) {
            Ok(value) => self.returned(scope, &running, value),
            Err(error) => self.failed(number, error),
        }
    }

    /// The handler has returned this, or its promise has come to it.
    fn returned<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        running: &Running,
        value: v8::Local<'s, v8::Value>,
    ) {
        let number = running.call.number;
        let Ok(promise) = value.try_cast::<v8::Promise>() else {
            return self.came_to(scope, number, value);
        };
        match promise.state() {
            v8::PromiseState::Fulfilled => {
                let value = promise.result(scope);
                self.came_to(scope, number, value);
            }
            v8::PromiseState::Pending | v8::PromiseState::Rejected => {
                running.pending.set(true);
                if self.running(number).is_none() {
                    self.remember(number, running.call.ids.clone());
                }
                if let Err(error) = self.sdk.follow(scope, number, promise) {
                    self.failed(number, error);
                }
            }
        }
    }

    fn came_to<'s>(&self, scope: &mut v8::PinScope<'s, '_>, number: u32, value: v8::Local<'s, v8::Value>) {
        if self.settled(scope, number, value) {
            return;
        }
        if let Err(error) = self.sdk.complete(scope, number, value) {
            self.failed(number, error);
        }
    }

    /// Answers with what the handler has come to. `false` when that is for JavaScript to do.
    pub(crate) fn settled(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        number: u32,
        value: v8::Local<'_, v8::Value>,
    ) -> bool {
        let Some(running) = self.running(number) else {
            self.answered.borrow_mut().remove(&number);
            return true;
        };
        running.pending.set(false);
        if running.touched.get() {
            return false;
        }
        match convert::meaning(scope, value, &running.call.request) {
            Ok(Meaning::Reply(reply)) => self.finish(number, Ok(reply)),
            Ok(Meaning::Special) => return false,
            Err(error) => self.failed(number, error),
        }
        true
    }

    /// The call has been answered, and the handler's promise is open.
    fn remember(&self, number: u32, ids: CallIds) {
        let mut answered = self.answered.borrow_mut();
        if answered.len() >= REMEMBERED {
            answered.clear();
        }
        answered.insert(number, ids);
    }

    /// The handler's promise was rejected, maybe after the function had answered.
    pub(crate) fn rejected(&self, number: u32, failure: Failure) {
        match self.answered.borrow_mut().remove(&number) {
            Some(ids) => self.source().output.stray_failure(&failure, Some(&ids)),
            None => self.failed(number, HandlerError::Raised(failure)),
        }
    }

    /// The call brings no answer, or the rest of one is missing.
    pub(crate) fn failed(&self, number: u32, mut error: HandlerError) {
        if self.full.get() {
            error = self.heap_is_full();
        }
        if let HandlerError::Raised(failure) = &mut error
            && let Some(limit) = self.buffers.refused()
        {
            failure
                .message
                .push_str(&format!(" (ArrayBuffers may take {} MiB, see FUNC_HEAP_LIMIT)", limit >> 20));
        }
        self.finish(number, Err(error));
    }

    /// The call is over.
    pub(crate) fn finish(&self, number: u32, result: Result<Reply, HandlerError>) {
        let Some(running) = self.running.borrow_mut().remove(&number) else { return };
        self.printer.finish(number, &running.call.ids);
        if running.pending.get() && result.is_ok() {
            self.remember(number, running.call.ids.clone());
        }
        if running.held.get() {
            self.over.borrow_mut().push((number, running.call.stopped()));
        }
        running.call.finish(result);
    }

    /// All calls are over, and this is why.
    pub(crate) fn fail_all(&self, reason: &str) {
        let numbers: Vec<u32> = self.running.borrow().keys().copied().collect();
        for number in numbers {
            self.failed(number, HandlerError::Lost(reason.to_owned()));
        }
    }

    /// An error that comes too late for a handler: a rejection that nobody handles, a throw in a timer. The call that
    /// it belongs to fails if it has not been answered.
    pub(crate) fn late(&self, scope: &mut v8::PinScope<'_, '_>, thrown: v8::Local<'_, v8::Value>) {
        let failure = error::failure(scope, thrown);
        match self.current(scope) {
            Some(running) => self.failed(running.call.number, HandlerError::Raised(failure)),
            None => self.stray(&failure, None),
        }
    }

    /// User code wants the process to end. In a process of its own that would be its right; here it ends its call, and
    /// nothing after it runs.
    pub(crate) fn exit(&self, scope: &mut v8::PinScope<'_, '_>, code: i32) {
        let message = format!("process.exit({code}) was called");
        let failure = Failure { kind: "Exit".to_owned(), message, stack: String::new() };
        match self.current(scope) {
            Some(running) => self.finish(running.call.number, Err(HandlerError::Raised(failure))),
            None => self.stray(&failure, None),
        }
        self.retire();
        scope.terminate_execution();
    }

    /// The folders of `NODE_PATH`.
    pub(crate) fn node_path(&self) -> Vec<String> {
        let path = self.source().settings.text(&env::NODE_PATH).unwrap_or_default();
        path.split(':').filter(|folder| !folder.is_empty()).map(str::to_owned).collect()
    }

    /// The event loop has ended with an error that reached none of the handlers.
    pub(crate) fn lost(&self, message: &str) {
        if !self.isolate.is_retired() {
            let failure =
                Failure { kind: "Error".to_owned(), message: message.to_owned(), stack: String::new() };
            self.stray(&failure, None);
        }
    }

    /// When the heap comes to its limit JavaScript is stopped. That may take a while: a built-in function is not stopped
    /// in the middle. V8 ends the process if it has no memory to go on with meanwhile, so it gets as much again, once.
    pub(crate) fn watch_heap(self: &Rc<Self>, js: &mut MainWorker) {
        let handle = js.js_runtime.v8_isolate().thread_safe_handle();
        let state = Rc::downgrade(self);
        js.js_runtime.add_near_heap_limit_callback(move |limit, _| {
            if let Some(state) = state.upgrade() {
                if state.full.replace(true) {
                    state.give_up(limit);
                }
                state.retire();
            }
            handle.terminate_execution();
            limit * 2
        });
    }

    /// The isolate does not stop, and would take the memory of all others. V8 offers no way to end it from here, so its
    /// thread never comes back, and keeps what it has.
    fn give_up(&self, taken: usize) -> ! {
        self.fail_all("its isolate's heap is full");
        ANSWERS.flush();
        let failure = Failure {
            kind: "HeapLimit".to_owned(),
            message: format!(
                "an isolate did not stop at its heap's limit (FUNC_HEAP_LIMIT); it is kept from going on, and its \
                 {} MiB are lost until the process ends",
                taken >> 20
            ),
            stack: String::new(),
        };
        self.stray(&failure, None);
        loop {
            thread::park();
        }
    }

    pub(crate) fn heap_is_full(&self) -> HandlerError {
        let limit = self.shared.parts.memory >> 20;
        HandlerError::Lost(format!(
            "the isolate's heap came to its limit of {limit} MiB (FUNC_HEAP_LIMIT, FUNC_MEMORY_LIMIT)"
        ))
    }
}
