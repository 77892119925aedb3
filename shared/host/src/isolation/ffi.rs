//! What the standard library has set up for programs of its own, undone for those of others.

use std::io;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Gives the signals of memory faults back to the system. The standard library's handlers, which know its own threads'
/// stacks, take no notice of one that a process sends to itself; and what they would print is of our threads, which do
/// not run user code.
pub(super) fn let_faults_kill() -> io::Result<()> {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the default action is no handler that could be wrong.
        unsafe { signal(fault, SigHandler::SigDfl) }?;
    }
    Ok(())
}
