//! What can go wrong in an engine, in words that know nothing of HTTP. `host` maps them to responses.

/// The handler could not be loaded. The message is for the function's author.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The language itself could not be started (library missing, wrong version).
    #[error("cannot start the language: {0}")]
    Runtime(String),
    /// There is no such module under the mount, or no such handler in it.
    #[error("{0}")]
    NotFound(String),
    /// The module exists and failed while it was loaded; holds the language's own report.
    #[error("{message}\n{stack}")]
    Failed {
        /// One sentence that names the module.
        message: String,
        /// Traceback or stack, as the language prints it.
        stack: String,
    },
}

/// The report of an exception, rejection, error value or panic in user code. It goes to the log, never to the
/// client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The language's type of the error, as in `ValueError`.
    pub kind: String,
    /// The error's own message.
    pub message: String,
    /// Traceback or stack, as the language prints it; may be empty.
    pub stack: String,
}

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// User code raised.
    #[error("{}: {}", .0.kind, .0.message)]
    Raised(Failure),
    /// The request says its body is JSON and it is not. The function was not called.
    #[error("the request body is not valid JSON: {0}")]
    BadData(String),
    /// What the function returned cannot be sent as a response.
    #[error("the function's return value cannot be sent: {0}")]
    BadReply(String),
    /// User code was stopped because the call was cancelled.
    #[error("the call was stopped")]
    Stopped,
    /// The engine lost the call: the thread, isolate or process that ran it is gone.
    #[error("the call was lost: {0}")]
    Lost(String),
}
