//! THE place where an error becomes a response. What the client is told and what the log says are two things.

use std::time::Duration;

use bytes::Bytes;
use contract::{BodyError, Failure, HandlerError};
use http::{HeaderValue, Response, StatusCode, header};

use super::body::Outgoing;
use crate::{call::Full, metrics::Rejected};

/// Everything that can be wrong with a request or a call.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The request breaks a rule of HTTP.
    Malformed(String),
    /// The request line is this long; this is allowed.
    UriTooLong(usize, usize),
    /// The head has this many bytes; this is allowed.
    HeadTooLarge(usize, usize),
    /// A method that makes no sense for a function.
    NotAllowed(String),
    /// A content coding the host does not know.
    Coding(String),
    /// The body does not come to its end.
    Body(BodyError),
    /// There is no place for the call.
    Full(Full),
    /// The deadline has come; it was this far away.
    TimedOut(Duration),
    /// The call brought an error instead of a reply.
    Handler(HandlerError),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Problem {
    /// The status that the client gets.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::Body(BodyError::Malformed(_) | BodyError::Coding(_) | BodyError::Gone)
            | Self::Handler(HandlerError::BadData(_)) => StatusCode::BAD_REQUEST,
            Self::UriTooLong(..) => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge(..) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Coding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::Stalled(_) | BodyError::Late(_))
            | Self::TimedOut(_)
            | Self::Handler(HandlerError::OutOfCpu(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Handler(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told. Of the function's errors it learns nothing, unless `detail` is on.
    pub(crate) fn public(&self, detail: bool) -> String {
        match self {
            Self::Malformed(what) | Self::NotAllowed(what) => what.clone(),
            Self::UriTooLong(size, limit) => {
                format!("the request target has {size} bytes; allowed: {limit}, a quarter of FUNC_HEADER_MAX")
            }
            Self::HeadTooLarge(size, limit) => {
                format!("the request head has {size} bytes; allowed: {limit} (FUNC_HEADER_MAX)")
            }
            Self::Body(error) => error.to_string(),
            Self::Coding(coding) => {
                format!(
                    "content coding \"{}\" is not known; allowed: gzip, deflate, br",
                    coding.escape_debug()
                )
            }
            Self::Full(Full::Closed) => "the host is shutting down".to_owned(),
            Self::Full(Full::Queue(waiting)) => {
                format!(
                    "all places are taken and {waiting} calls wait already (FUNC_CONCURRENCY, FUNC_QUEUE)"
                )
            }
            Self::Full(Full::Waited(time)) => {
                format!(
                    "no place became free within {:.3} s (FUNC_CONCURRENCY, FUNC_QUEUE_WAIT)",
                    time.as_secs_f64()
                )
            }
            Self::TimedOut(timeout) => {
                format!("Timeout exceeded: the function did not finish within {} s", timeout.as_secs_f64())
            }
            Self::Handler(HandlerError::OutOfCpu(limit)) => {
                format!(
                    "Timeout exceeded: the function used more than {} s of processor time (FUNC_CPU_TIMEOUT)",
                    limit.as_secs_f64()
                )
            }
            Self::Handler(error @ HandlerError::BadData(_)) => error.to_string(),
            Self::Handler(HandlerError::Raised(failure)) if detail => format!("Error: {}", failure.message),
            Self::Handler(error) if detail => format!("Error: {error}"),
            Self::Handler(_) => "Internal Server Error".to_owned(),
        }
    }

    /// Why the client is to blame, or nobody, and not the function.
    pub(crate) fn rejected(&self) -> Option<Rejected> {
        match self {
            Self::Malformed(_)
            | Self::NotAllowed(_)
            | Self::Body(BodyError::Malformed(_) | BodyError::Gone) => Some(Rejected::Malformed),
            Self::UriTooLong(..) | Self::HeadTooLarge(..) => Some(Rejected::HeadTooLarge),
            Self::Body(BodyError::TooLarge { .. }) => Some(Rejected::BodyTooLarge),
            Self::Coding(_) | Self::Body(BodyError::Coding(_)) | Self::Handler(HandlerError::BadData(_)) => {
                Some(Rejected::BadBody)
            }
            Self::Body(BodyError::Stalled(_) | BodyError::Late(_)) => Some(Rejected::SlowClient),
            Self::Full(Full::Queue(_)) => Some(Rejected::QueueFull),
            Self::Full(Full::Waited(_)) => Some(Rejected::QueueWait),
            Self::Full(Full::Closed) => Some(Rejected::Closing),
            Self::TimedOut(_) | Self::Handler(_) => None,
        }
    }

    /// Whether the request's body may be only half read, so that the connection cannot carry another request.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::UriTooLong(..)
                | Self::HeadTooLarge(..)
                | Self::NotAllowed(_)
                | Self::Coding(_)
                | Self::Body(_)
        )
    }

    /// Writes what the function's author needs to know. Problems of clients are counted and in the access log.
    pub(crate) fn log(&self, ids: &contract::CallIds) {
        let request_id = ids.request_id.as_str();
        let trace_id = crate::log::TraceId(ids);
        match self {
            Self::Handler(HandlerError::Raised(Failure { kind, message, stack })) => {
                tracing::error!(request_id, %trace_id, error = kind, stack, "the function failed: {message}");
            }
            Self::Handler(HandlerError::BadData(_)) => {}
            Self::Handler(HandlerError::Lost(why)) => {
                let (why, stack) = why.split_once('\n').unwrap_or((why, ""));
                tracing::error!(request_id, %trace_id, stack, "the call was lost: {why}");
            }
            // Whoever stops the call writes where it was.
            Self::TimedOut(_) | Self::Handler(HandlerError::OutOfCpu(_)) => {}
            Self::Handler(error) => tracing::error!(request_id, %trace_id, "the call failed: {error}"),
            _ => {}
        }
    }

    /// The response, without what every response gets later (request id, CORS).
    pub(crate) fn response(&self, detail: bool) -> Response<Outgoing> {
        let mut text = self.public(detail);
        text.push('\n');
        let mut response = Response::new(Outgoing::from(Bytes::from(text)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Self::Full(_) = self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::NotAllowed(_) = self {
            let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
            headers.insert(header::ALLOW, methods);
        }
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
