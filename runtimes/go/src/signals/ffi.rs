//! SIGTERM and SIGINT, which stay the server's beside Go's runtime. The plugin's half is `sdk/plugin/signals.c`.

use std::{io, mem, ptr};

/// Sees to it that SIGTERM and SIGINT reach the main thread, which waits for them.
///
/// Go's threads have both unblocked, and when a thread looks for signals at the wrong moment (Go interrupts its own
/// threads by signals all the time) it takes what the kernel has just woken the main thread for. Without a handler
/// that would end the process. This one sends the signal on to the main thread alone.
pub(crate) fn hand_on_stop_signals() -> io::Result<()> {
    extern "C" fn hand_on(signal: libc::c_int) {
        // SAFETY: async-signal-safe, and without arguments.
        let process = unsafe { libc::getpid() };
        // SAFETY: async-signal-safe; the main thread is the one whose id is the process's, and it cannot end before
        // the process does.
        unsafe { libc::syscall(libc::SYS_tgkill, process, process, signal) };
    }
    // SAFETY: all zeros is a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = hand_on as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // On the stack that is set aside for signals: a goroutine's own is too small.
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the handler does nothing that is not async-signal-safe, and the old action is not asked for.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
