//! The life of a worker process: it runs the engine, and knows of the world what comes through its link.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::{fd::AsFd as _, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::BufMut as _;
use contract::{HandlerSource, OutputStream, Share, env};
use nix::{
    sys::{prctl, signal::Signal},
    unistd::{dup2_stdin, getppid},
};
use tokio::{
    runtime::Builder,
    sync::{Notify, oneshot},
};

use super::{
    errors::Refusal,
    ffi,
    frame::{Frame, Kind},
    limits::Limits,
    link::{self, Link},
    running::Calls,
};
use crate::{
    config::{Config, Environment},
    exit::Exit,
    fatal,
    language::{AnyEngine, Language},
    log::{FunctionLog, Log, Sink},
    signals::{self, Signals},
};

/// How long the last lines and words may take on their way to the host.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs a worker from its first instruction to its last. `host` is the process that has started it, as it says.
pub(crate) fn run(language: &'static Language, signals: Signals, host: Option<&OsStr>) -> Exit {
    let socket = match take_link(host) {
        Ok(socket) => socket,
        Err(problem) => return fatal::exit(language.name, Exit::Usage, &problem),
    };
    // The host has read the same variables and found no mistake.
    let Ok((config, settings)) = Config::read(language, &Environment) else { return Exit::Usage };
    let limits = Limits::new(&settings, &config.share);
    if let Err(error) = ffi::let_faults_kill().and_then(|()| Ok(limits.impose()?)) {
        return fatal::exit(
            language.name,
            Exit::Internal,
            &format!("cannot limit what the worker may use: {error}"),
        );
    }
    let link = Arc::new(Link::default());
    let sink = |stream| Sink::to(Lines { link: link.clone(), stream });
    let log = match (sink(OutputStream::Stdout), sink(OutputStream::Stderr)) {
        (Ok(out), Ok(err)) => Log::to(out, err, &config.log),
        (Err(error), _) | (_, Err(error)) => {
            return fatal::exit(language.name, Exit::Internal, &format!("cannot start the log: {error}"));
        }
    };
    let stray = link.clone();
    let output = Arc::new(FunctionLog(move || stray.send(Kind::Stray, 0, |_| {})));
    let source = HandlerSource {
        root: config.root.clone(),
        module: config.module.clone(),
        function: config.context.function_name.clone(),
        context: config.context.clone(),
        // What Kubernetes reads there is why the host has ended.
        settings: settings.without(&env::FUNC_TERMINATION_LOG),
        share: Share { memory: config.share.memory.map(|all| all / config.workers as u64), ..config.share },
        output,
    };
    signals.while_ignoring(|finish| {
        let work = move || {
            let worked = catch_unwind(AssertUnwindSafe(|| work(language, socket, &link, source, log)));
            finish.with(worked.unwrap_or(Exit::Internal));
        };
        if let Err(error) = thread::Builder::new().name("funchost-io".to_owned()).spawn(work) {
            unreachable!("the first thread of the process cannot be started: {error}");
        }
    })
}

/// Takes the link out of standard input, where the host has put it, to where no child of this process inherits it;
/// and sees to it that this process dies with the host.
fn take_link(host: Option<&OsStr>) -> Result<UnixStream, String> {
    let usage = "it is started by the host, and by nobody else".to_owned();
    let taken = || -> io::Result<UnixStream> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.local_addr()?;
        socket.set_nonblocking(true)?;
        dup2_stdin(File::open("/dev/null")?)?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        Ok(socket)
    };
    let socket = taken().map_err(|error| format!("{usage} ({error})"))?;
    // It may have died before its death would have been ours.
    if host != Some(OsStr::new(&getppid().to_string())) {
        return Err(usage);
    }
    Ok(socket)
}

/// Where the worker's formatted log lines go.
struct Lines {
    link: Arc<Link>,
    stream: OutputStream,
}

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        const MOST: usize = 256 * 1024;
        let lines = &lines[..lines.len().min(MOST)];
        self.link.wait_for_room();
        self.link.send(Kind::Lines, 0, |buffer| {
            buffer.put_u8(u8::from(self.stream == OutputStream::Stderr));
            buffer.put_slice(lines);
        });
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn work(language: &Language, socket: UnixStream, link: &Arc<Link>, source: HandlerSource, log: Log) -> Exit {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fatal::exit(language.name, Exit::Internal, &format!("cannot start I/O: {error}"));
        }
    };
    let exit = runtime.block_on(async {
        let exit = serve(language, socket, link, source).await;
        // On a thread of its own, because this one writes what the other waits for.
        let link = link.clone();
        let flush = move || {
            log.finish();
            link.flush(LAST_WORDS);
        };
        let _ = tokio::task::spawn_blocking(flush).await;
        exit
    });
    runtime.shutdown_background();
    exit
}

async fn serve(language: &Language, socket: UnixStream, link: &Arc<Link>, source: HandlerSource) -> Exit {
    let socket = signals::ignore_on_this_thread().and_then(|()| tokio::net::UnixStream::from_std(socket));
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => {
            return fatal::exit(language.name, Exit::Internal, &format!("cannot start I/O: {error}"));
        }
    };
    let calls = Arc::new(Calls::new(link.clone()));
    let (finish, finished) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut linked = tokio::spawn(link::run(link.clone(), socket, {
        let (calls, finish) = (calls.clone(), finish.clone());
        move |frame: Frame| match frame.kind {
            Kind::Finish => {
                finish.notify_one();
                Ok(())
            }
            Kind::AskGauges => {
                calls.tell_gauges();
                Ok(())
            }
            _ => calls.take(frame),
        }
    }));
    match load(language, source).await {
        Ok(engine) => calls.start(engine),
        Err(refusal) => {
            link.send(Kind::Refused, 0, |buffer| refusal.put(buffer));
            return Exit::Handler;
        }
    }
    tokio::select! {
        // The host has gone, or so has what this process was connected to it by.
        _ = &mut linked => return Exit::Internal,
        () = finish.notified() => {}
    }
    // The engine's end runs user code, which may take its time.
    let ended = finished.clone();
    let end = move || {
        drop(calls.stop());
        ended.notify_one();
    };
    if thread::Builder::new().name("funchost-end".to_owned()).spawn(end).is_ok() {
        finished.notified().await;
    }
    Exit::Done
}

/// Loads on a thread of its own, as [`contract::Engine::load`] may expect.
async fn load(language: &Language, source: HandlerSource) -> Result<Arc<dyn AnyEngine>, Refusal> {
    let (done, loaded) = oneshot::channel();
    let load = language.load;
    let work = move || drop(done.send(load(source)));
    let started = thread::Builder::new().name("funchost-load".to_owned()).spawn(work);
    match started {
        Ok(_) => loaded.await.map_err(|_| Refusal::Panicked)?.map_err(Refusal::Load),
        Err(_) => Err(Refusal::Panicked),
    }
}
