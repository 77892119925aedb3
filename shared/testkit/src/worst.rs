//! The worst that user code can do, for the fake engine: below the path `/worst`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use contract::{HandlerError, Invocation, LoadError};
use nix::sys::{
    resource::{Resource, getrlimit},
    signal::{Signal, raise},
};
use tokio::sync::oneshot;

/// Does what `what` says; what it answers, if it comes to that.
///
/// | path | behaviour |
/// |---|---|
/// | `/worst/pid/<ms>` | answers the number of the process, after so long |
/// | `/worst/files` | answers how many files it may open, and how many it may make that |
/// | `/worst/exit/<n>` | ends the process with this status |
/// | `/worst/abort` | says so on standard error, and aborts |
/// | `/worst/fault` | sends SIGSEGV to itself |
/// | `/worst/block/<ms>` | keeps a thread for so long, cancelled or not, and tells where |
/// | `/worst/spin` | keeps a thread and its processor for ever |
/// | `/worst/grow` | takes more and more memory |
/// | `/worst/child` | starts a process that does not end, and answers its number |
/// | `/worst/print/<n>` | writes so many megabytes without a newline to standard output |
pub(crate) async fn behave(call: Invocation, what: &str) -> Result<String, HandlerError> {
    let (what, argument) = what.split_once('/').unwrap_or((what, ""));
    let number = argument.parse::<u64>().unwrap_or(0);
    match what {
        "pid" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            return Ok(std::process::id().to_string());
        }
        "files" => {
            let limits = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| format!("{soft} {hard}"));
            return Ok(limits.unwrap_or_default());
        }
        "exit" => end(i32::try_from(number).unwrap_or_default()),
        "abort" => {
            let _ = std::io::stderr().write_all(b"these are\nits last words\n");
            std::process::abort();
        }
        "fault" => drop(raise(Signal::SIGSEGV)),
        "child" => {
            let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            return Ok(child.map(|child| child.id()).unwrap_or_default().to_string());
        }
        "print" => {
            let megabyte = vec![b'a'; 1 << 20];
            (0..number).for_each(|_| drop(std::io::stdout().write_all(&megabyte)));
        }
        _ => return on_a_thread(call, what.to_owned(), number).await,
    }
    Ok(what.to_owned())
}

/// On a thread that holds the call's place, as an engine that runs user code on threads does.
async fn on_a_thread(call: Invocation, what: String, number: u64) -> Result<String, HandlerError> {
    let (done, ended) = oneshot::channel();
    let Invocation { place, cancel, .. } = call;
    let witness = cancel.witness();
    let name = what.clone();
    thread::spawn(move || {
        match name.as_str() {
            "block" => pause(Duration::from_millis(number)),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "grow" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1_u8; 1 << 20]);
                }
            }
            _ => {}
        }
        drop(place);
        let _ = done.send(());
    });
    let told = async {
        cancel.cancelled().await;
        witness.tell(format!("  in the fake's {what}, line {number}"), true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = ended => Ok(what.clone()),
        () = told => Err(HandlerError::Stopped),
    }
}

/// What a module of this name does while it is loaded.
pub(crate) fn load(module: &str, root: &std::path::Path) -> Result<(), LoadError> {
    match module {
        "ends" => {
            let _ = std::io::stderr().write_all(b"it ends here\n");
            end(7)
        }
        // Once it could be loaded, later it cannot.
        "later-broken" if root.join("broken").exists() => Err(LoadError::Failed {
            message: "module \"later-broken\" failed".to_owned(),
            stack: "  at line 1".to_owned(),
        }),
        "soon-dead" if root.join("dying").exists() => {
            thread::spawn(|| {
                pause(Duration::from_millis(50));
                end(7)
            });
            Ok(())
        }
        _ => Ok(()),
    }
}

#[expect(clippy::exit, reason = "user code may do that")]
fn end(status: i32) -> ! {
    std::process::exit(status)
}

/// Blocks the thread, as a call into a C library does.
fn pause(time: Duration) {
    let (never, lock) = (Condvar::new(), Mutex::new(()));
    let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    drop(never.wait_timeout_while(guard, time, |()| true));
}
