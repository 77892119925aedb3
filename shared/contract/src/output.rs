//! What a function prints, and what it does wrong after its reply, on the way to the log.

use std::fmt;

use crate::{CallIds, Failure};

/// Which of the function's streams a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One whole line of the function's output.
#[derive(Clone, Copy, Debug)]
pub struct OutputLine<'a> {
    /// The stream it was written to.
    pub stream: OutputStream,
    /// The line without its newline.
    pub text: &'a str,
    /// The call that wrote it, when the engine can tell.
    pub call: Option<&'a CallIds>,
}

/// The way from user code to the log. Never blocks on a slow reader and never fails.
pub trait Output: Send + Sync + fmt::Debug {
    /// Writes one line, whole.
    fn line(&self, line: OutputLine<'_>);

    /// Reports an error that no reply can carry any more: a rejection nobody handled, a throw in a timer, an
    /// exception in a background task. It is logged and counted.
    fn stray_failure(&self, failure: &Failure, call: Option<&CallIds>);
}
