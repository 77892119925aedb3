//! The thread of one isolate: takes calls, runs them, hears what the server says about them.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::{Arc, mpsc::Sender},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use contract::{HandlerError, LoadError};
use deno_core::PollEventLoopOptions;
use deno_runtime::{tokio_util::create_basic_runtime, worker::MainWorker};

use crate::{
    batch::ANSWERS,
    ffi::Buffers,
    isolate,
    load::{self, Sdk},
    loader::Loader,
    output::Printer,
    pool::{Isolate, Message, Shared, Start},
    state::State,
};

/// Calls that are begun before the event loop has its turn again, and for how long: timers and sockets of other calls
/// wait meanwhile, and so do answers.
const BATCH: usize = 64;
const BATCH_TIME: Duration = Duration::from_millis(1);
/// When a batch has taken this long, its answers are not kept together any more: waking costs less than that.
const ANSWERS_TIME: Duration = Duration::from_micros(100);

/// Where a call is that lets others run.
const WAITS: &str = "    waiting: no code of this call was running";

/// Runs an isolate until it has retired and its last call is over. Says when it has loaded the function, or why not.
pub(crate) fn run(shared: Arc<Shared>, start: Start, loaded: &Sender<Result<(), LoadError>>) {
    let runtime = create_basic_runtime();
    runtime.block_on(async {
        let mut worker = match Worker::new(shared).await {
            Ok(worker) => worker,
            Err(error) => {
                let _ = loaded.send(Err(error));
                return;
            }
        };
        while start == Start::Whole && worker.cold {
            worker.warm();
        }
        let _ = loaded.send(Ok(()));
        poll_fn(|cx| worker.turn(cx)).await;
    });
    runtime.shutdown_background();
}

struct Worker {
    js: MainWorker,
    state: Rc<State>,
    /// The function will want what is not loaded yet.
    cold: bool,
}

impl Worker {
    async fn new(shared: Arc<Shared>) -> Result<Self, LoadError> {
        let parts = &shared.parts;
        let loader = Rc::new(Loader::new(&parts.root, parts.compiled.clone()));
        let buffers = Buffers::new(parts.memory);
        let mut js = isolate::new(parts, &loader, buffers.clone());
        let isolate = Arc::new(Isolate::default());
        isolate.has_started(js.js_runtime.v8_isolate().thread_safe_handle());
        shared.isolates.add(&isolate);
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
            spared: Cell::default(),
        });
        js.js_runtime.v8_isolate().set_slot(state.clone());
        state.watch_heap(&mut js);
        let cold = load::function(&mut js, &state, &loader).await?;
        Ok(Self { js, state, cold })
    }

    /// What there is to do now. Ready when there will be nothing to do any more.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.state.clone();
        state.isolate.is_run_by(cx);
        state.shared.queue.is_busy(&state.isolate);
        self.hear();
        self.begin_calls();
        // An error that nobody caught comes to the SDK's handlers, and is the call's to which it belongs. What is left
        // for this result is that JavaScript was stopped.
        if let Poll::Ready(Err(error)) =
            self.js.js_runtime.poll_event_loop(cx, PollEventLoopOptions::default())
        {
            state.lost(&error.to_string());
        }
        self.settle();
        ANSWERS.flush();
        if state.isolate.is_retired() && state.running.borrow().is_empty() {
            return Poll::Ready(());
        }
        if self.cold {
            self.warm();
            cx.waker().wake_by_ref();
        } else if !state.shared.queue.is_idle(&state.isolate) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Loads a part of what the first call that asks for its request should not have to wait for. Between two parts the
    /// isolate takes calls that no other one has time for.
    fn warm(&mut self) {
        deno_core::scope!(scope, &mut self.js.js_runtime);
        self.cold = self.state.sdk.warm(scope).unwrap_or_else(|error| {
            // A call that asks for it will fail in the same way.
            tracing::warn!("the request object cannot be loaded: {error}");
            false
        });
    }

    /// Takes calls, for a while.
    fn begin_calls(&mut self) {
        let state = &self.state;
        let started = state.begin_turn();
        deno_core::scope!(scope, &mut self.js.js_runtime);
        for _ in 0..BATCH {
            if state.isolate.is_retired() {
                return;
            }
            let queue = &state.shared.queue;
            let call = if self.cold { queue.take_spare() } else { queue.take(&state.isolate) };
            let Some(call) = call else { return };
            if call.taken_by(&state.isolate) {
                state.begin(scope, call);
            }
            let taken = started.elapsed();
            if taken > ANSWERS_TIME {
                ANSWERS.flush();
            }
            if taken > BATCH_TIME {
                return;
            }
        }
    }

    /// What the server says about calls.
    fn hear(&mut self) {
        for message in self.state.isolate.receive() {
            match message {
                Message::Stop(call) => {
                    // It lets the isolate hear of this, so it is not in the middle of anything.
                    call.witness.tell(WAITS.to_owned(), false);
                    self.state.finish(call.number, Err(HandlerError::Stopped));
                }
                Message::Lag(heard) => drop(heard.send(())),
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
            self.state.fail_all("its isolate's heap is full");
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
        self.state.fail_all("its isolate has ended");
        ANSWERS.flush();
    }
}
