//! The facts of an access line.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use contract::CallIds;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use tracing::field::Empty;

use super::{ACCESS, TraceId};

/// What is kept of a request for its access line. Everything is a cheap clone of what the parser made.
#[derive(Debug)]
pub(crate) struct AccessLine {
    remote: SocketAddr,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
}

impl AccessLine {
    pub(crate) fn new(remote: SocketAddr, head: (&Method, &Uri, Version), headers: &HeaderMap) -> Self {
        Self {
            remote,
            method: head.0.clone(),
            uri: head.1.clone(),
            version: head.2,
            referer: headers.get(header::REFERER).cloned(),
            agent: headers.get(header::USER_AGENT).cloned(),
        }
    }

    /// Writes the line of something that was refused before it was a request.
    pub(crate) fn write_refused(remote: SocketAddr, status: u16) {
        tracing::info!(
            target: ACCESS,
            remote = %remote.ip(),
            method = "-",
            path = "-",
            protocol = "-",
            status,
            bytes = 0_u64,
            referer = "",
            user_agent = "",
            duration = 0.0,
            cpu = Empty,
            request_id = "-",
            trace_id = "-",
        );
    }

    /// Writes the line; the order of the fields is the order in the text format. `took` is the time on the clock and,
    /// when it is known, that of the processor.
    pub(crate) fn write(&self, status: u16, bytes: u64, took: (Duration, Option<Duration>), ids: &CallIds) {
        tracing::info!(
            target: ACCESS,
            remote = %self.remote.ip(),
            method = self.method.as_str(),
            path = self.uri.path_and_query().map_or("*", |path| path.as_str()),
            protocol = protocol(self.version),
            status,
            bytes,
            referer = &*lossy(&self.referer),
            user_agent = &*lossy(&self.agent),
            duration = took.0.as_secs_f64(),
            cpu = took.1.map(|cpu| cpu.as_secs_f64()),
            request_id = ids.request_id.as_str(),
            trace_id = %TraceId(ids),
        );
    }
}

fn lossy(value: &Option<HeaderValue>) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_ref().map_or(&[], HeaderValue::as_bytes))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
