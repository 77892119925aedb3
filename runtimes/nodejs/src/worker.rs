//! The thread of one isolate: takes calls, runs them, hears what the server says about them.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    path::Path,
    rc::Rc,
    sync::{Arc, mpsc::Sender},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use contract::{CallIds, CancelReason, Failure, HandlerError, LoadError, OutputStream, Reply, env};
use deno_core::{PollEventLoopOptions, v8};
use deno_runtime::{tokio_util::create_basic_runtime, worker::MainWorker};

use crate::{
    batch::ANSWERS,
    call::Call,
    convert::{self, Meaning},
    error,
    ffi::Buffers,
    interrupt, isolate,
    load::{self, Sdk},
    loader::Loader,
    output::Printer,
    pipe::Pipe,
    pool::{Isolate, Message, Shared},
};

/// Calls that are begun before the event loop has its turn again, and for how long: timers and sockets of other calls
/// wait meanwhile, and so do answers.
const BATCH: usize = 64;
const BATCH_TIME: Duration = Duration::from_millis(1);
/// When a batch has taken this long, its answers are not kept together any more: waking costs less than that.
const ANSWERS_TIME: Duration = Duration::from_micros(100);
/// Code of which nobody knows whose it is may keep the isolate for this long when a call should have been stopped.
const GRACE: Duration = Duration::from_secs(1);
/// Answered calls whose promises are still waited for. Promises that never settle must not fill the memory.
const REMEMBERED: usize = 10_000;

/// Runs an isolate until it has retired and its last call is over. Says when it has loaded the function, or why not.
pub(crate) fn run(shared: Arc<Shared>, loaded: &Sender<Result<(), LoadError>>) {
    let runtime = create_basic_runtime();
    runtime.block_on(async {
        let mut worker = match Worker::new(shared).await {
            Ok(worker) => worker,
            Err(error) => {
                let _ = loaded.send(Err(error));
                return;
            }
        };
        let _ = loaded.send(Ok(()));
        poll_fn(|cx| worker.turn(cx)).await;
    });
    runtime.shutdown_background();
}

struct Worker {
    js: MainWorker,
    state: Rc<State>,
}

/// What the isolate's native functions work with. It is in a slot of the isolate.
pub(crate) struct State {
    shared: Arc<Shared>,
    isolate: Arc<Isolate>,
    context: v8::Global<v8::Context>,
    pub(crate) sdk: Sdk,
    printer: Printer,
    buffers: Arc<Buffers>,
    running: RefCell<HashMap<u32, Rc<Running>>>,
    /// Calls that JavaScript holds something of and that ended without its doing, with the reason if they were stopped.
    over: RefCell<Vec<(u32, Option<CancelReason>)>>,
    /// Calls that the function has answered while its promise was still open: it may be rejected yet.
    answered: RefCell<HashMap<u32, CallIds>>,
    /// The heap has come to its limit.
    full: Cell<bool>,
    /// When this turn of the event loop began.
    turn: Cell<Instant>,
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

impl Worker {
    async fn new(shared: Arc<Shared>) -> Result<Self, LoadError> {
        let parts = &shared.parts;
        let loader = Rc::new(Loader::new(&parts.root, parts.compiled.clone()));
        let buffers = Buffers::new(parts.memory);
        let mut js = isolate::new(parts, &loader, buffers.clone());
        let isolate = Arc::new(Isolate::default());
        isolate.has_started(js.js_runtime.v8_isolate().thread_safe_handle());
        let context = js.js_runtime.main_context();
        let sdk = Sdk::new(&mut js)?;
        let printer = Printer::new(shared.source.output.clone());
        let state = Rc::new(State {
            shared,
            isolate,
            context,
            sdk,
            printer,
            buffers,
            running: RefCell::default(),
            over: RefCell::default(),
            answered: RefCell::default(),
            full: Cell::new(false),
            turn: Cell::new(Instant::now()),
        });
        js.js_runtime.v8_isolate().set_slot(state.clone());
        state.watch_heap(&mut js);
        load::function(&mut js, &state, &loader).await?;
        Ok(Self { js, state })
    }

    /// What there is to do now. Ready when there will be nothing to do any more.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.isolate.is_run_by(cx);
        self.hear();
        let all = self.begin_calls();
        // An error that nobody caught comes to the SDK's handlers, and is the call's to which it belongs. What is left
        // for this result is that JavaScript was stopped.
        if let Poll::Ready(Err(error)) =
            self.js.js_runtime.poll_event_loop(cx, PollEventLoopOptions::default())
        {
            self.state.lost(&error.to_string());
        }
        self.settle();
        ANSWERS.flush();
        if !all {
            cx.waker().wake_by_ref();
        }
        let ended = self.state.isolate.is_retired() && self.state.running.borrow().is_empty();
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes calls as long as there are some. `false` when there are more.
    fn begin_calls(&mut self) -> bool {
        let state = &self.state;
        let started = Instant::now();
        state.turn.set(started);
        deno_core::scope!(scope, &mut self.js.js_runtime);
        for _ in 0..BATCH {
            if state.isolate.is_retired() {
                return true;
            }
            let Some(call) = state.shared.queue.take(&state.isolate) else { return true };
            if call.taken_by(&state.isolate) {
                state.begin(scope, call);
            }
            let taken = started.elapsed();
            if taken > ANSWERS_TIME {
                ANSWERS.flush();
            }
            if taken > BATCH_TIME {
                break;
            }
        }
        false
    }

    /// What the server says about calls.
    fn hear(&mut self) {
        for message in self.state.isolate.receive() {
            match message {
                Message::Stop(call) => self.state.finish(call.number, Err(HandlerError::Stopped)),
                Message::Room(call) => {
                    deno_core::scope!(scope, &mut self.js.js_runtime);
                    self.state.sdk.room(scope, call.number);
                }
            }
        }
    }

    /// After user code has run: tells JavaScript about calls that are over, and sees what has become of the isolate.
    fn settle(&mut self) {
        let isolate = self.js.js_runtime.v8_isolate();
        let stopped = isolate.is_execution_terminating();
        if stopped {
            isolate.cancel_terminate_execution();
        }
        if self.state.full.get() {
            // Whose objects fill it nobody can tell.
            let numbers: Vec<u32> = self.state.running.borrow().keys().copied().collect();
            numbers.into_iter().for_each(|number| self.state.failed(number, HandlerError::Stopped));
        }
        let over = self.state.over.take();
        if over.is_empty() && !stopped {
            return;
        }
        deno_core::scope!(scope, &mut self.js.js_runtime);
        for (number, reason) in over {
            self.state.sdk.over(scope, number, reason);
        }
        if stopped {
            // Whatever was in the middle of something goes on with the next turn.
            self.state.sdk.recover(scope);
            self.state.isolate.wake();
        }
    }
}

/// Also when the thread panics: its calls must not wait for it, and another isolate takes its place.
impl Drop for Worker {
    fn drop(&mut self) {
        self.state.retire();
        let numbers: Vec<u32> = self.state.running.borrow().keys().copied().collect();
        for number in numbers {
            self.state.finish(number, Err(HandlerError::Lost("its isolate has ended".to_owned())));
        }
        ANSWERS.flush();
    }
}

impl State {
    pub(crate) fn context(&self) -> &v8::Global<v8::Context> {
        &self.context
    }

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

    fn begin(&self, scope: &mut v8::PinScope<'_, '_>, call: Arc<Call>) {
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
    fn lost(&self, message: &str) {
        if !self.isolate.is_retired() {
            let failure =
                Failure { kind: "Error".to_owned(), message: message.to_owned(), stack: String::new() };
            self.stray(&failure, None);
        }
    }

    /// When the heap comes to its limit JavaScript is stopped. That may take a while: a built-in function is not stopped
    /// in the middle. V8 ends the process if it has no memory to go on with meanwhile, so it gets as much again.
    fn watch_heap(self: &Rc<Self>, js: &mut MainWorker) {
        let handle = js.js_runtime.v8_isolate().thread_safe_handle();
        let state = Rc::downgrade(self);
        js.js_runtime.add_near_heap_limit_callback(move |limit, _| {
            if let Some(state) = state.upgrade() {
                state.full.set(true);
                state.retire();
            }
            handle.terminate_execution();
            limit * 2
        });
    }

    fn heap_is_full(&self) -> HandlerError {
        let limit = self.shared.parts.memory >> 20;
        HandlerError::Lost(format!(
            "the isolate's heap came to its limit of {limit} MiB (FUNC_HEAP_LIMIT, FUNC_MEMORY_LIMIT)"
        ))
    }
}
