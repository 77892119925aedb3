//! What can go wrong in an engine, in words that know nothing of HTTP. `host` maps them to responses.

use std::time::Duration;

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
    /// The request's body ended before its end. A streamed body ends with this; an engine tells the function in the
    /// language's own way, and whatever the function makes of it, the client is answered by the server.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What the function returned cannot be sent as a response.
    #[error("the function's return value cannot be sent: {0}")]
    BadReply(String),
    /// The call has used more processor time than it may; it was told to stop.
    #[error("the call used more than {0:?} of processor time")]
    OutOfCpu(Duration),
    /// User code was stopped because the call was cancelled.
    #[error("the call was stopped")]
    Stopped,
    /// The engine lost the call: the thread, isolate or process that ran it is gone. The first line says why; further
    /// ones are its last words.
    #[error("the call was lost: {0}")]
    Lost(String),
}

/// Why a request's body ends before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than allowed, after inflation if it was compressed.
    #[error("{}", too_large(*.declared, *.limit))]
    TooLarge {
        /// What the client announced, when it did.
        declared: Option<u64>,
        /// What is allowed.
        limit: u64,
    },
    /// The client sent nothing for this long while it was waited for.
    #[error("nothing of the request body came for {} s (FUNC_BODY_TIMEOUT)", .0.as_secs_f64())]
    Stalled(Duration),
    /// The deadline, this far away, came before the client had sent everything.
    #[error("the request body did not come within {} s (FUNC_TIMEOUT)", .0.as_secs_f64())]
    Late(Duration),
    /// It breaks a rule of HTTP.
    #[error("the request body cannot be read: {0}")]
    Malformed(String),
    /// It is not in the content coding that its header names.
    #[error("the request body cannot be inflated: {0}")]
    Coding(String),
    /// The client has gone, or the call was answered without the rest of it.
    #[error("the request body is not complete: nobody sends the rest of it")]
    Gone,
}

fn too_large(declared: Option<u64>, limit: u64) -> String {
    match declared {
        Some(size) => {
            format!("the request body has {size} bytes; allowed: {limit} (REQ_MB_LIMIT, FUNC_MEMFILE_MAX)")
        }
        None => format!(
            "the request body has more than {limit} bytes, which is what is allowed (REQ_MB_LIMIT, FUNC_MEMFILE_MAX)"
        ),
    }
}
