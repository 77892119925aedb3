//! What a call brings to the function.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use crate::{Body, CallIds, Cancelled};

/// One call of the function.
#[derive(Debug)]
pub struct Invocation {
    /// As the client sent it, `HEAD` included.
    pub method: Method,
    /// As the client sent it: origin form, or absolute form with HTTP/2.
    pub uri: Uri,
    /// The protocol of the client's connection.
    pub version: Version,
    /// The client's headers; `traceparent` is the server's own, so the function's calls to others join the trace.
    pub headers: HeaderMap,
    /// Within the payload limit, and inflated if the client had compressed it. Complete, unless the engine
    /// [streams requests](crate::Engine::streams_requests).
    pub body: Body,
    /// The other end of the connection.
    pub remote: SocketAddr,
    /// What this call is called.
    pub ids: CallIds,
    /// When the time of `FUNC_TIMEOUT`, which began with the request's arrival, is over.
    pub deadline: Instant,
    /// Fires when nobody waits for the reply any more.
    pub cancel: Cancelled,
    /// The call's place among those that may run at once.
    pub place: Place,
}

/// Held for as long as the call's user code may still run, however the call was answered: dropping it gives the
/// place to the next call. An engine keeps it where the user code runs (the thread, the task), so that a handler
/// that nobody can stop keeps its place, and is counted as stuck.
pub struct Place(Box<dyn Hold>);

/// What a [`Place`] wraps.
pub trait Hold: Send + Sync {
    /// The call has taken this much processor time. An engine that knows says so before it drops the place.
    fn spent(&self, cpu: Duration) {
        let _ = cpu;
    }
}

/// A place that is nobody's, for tests.
impl Hold for () {}

impl Place {
    /// Wraps whatever the server wants to be dropped when the call is over.
    pub fn new(held: impl Hold + 'static) -> Self {
        Self(Box::new(held))
    }

    /// See [`Hold::spent`].
    pub fn spent(&self, cpu: Duration) {
        self.0.spent(cpu);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl Invocation {
    /// The event fields that came as headers; the values are bytes, as HTTP has them.
    pub fn event(&self) -> EventHeaders<'_> {
        let get = |name: &HeaderName| self.headers.get(name).map(HeaderValue::as_bytes);
        EventHeaders {
            id: get(&EVENT_ID),
            kind: get(&EVENT_TYPE),
            time: get(&EVENT_TIME),
            namespace: get(&EVENT_NAMESPACE),
        }
    }

    /// What the body is by its media type, the same for every language.
    pub fn data_kind(&self) -> DataKind {
        DataKind::of(&self.headers)
    }

    /// The path of the request, percent-encoding left as it came.
    pub fn path(&self) -> &str {
        self.uri.path()
    }
}

/// The event's id. This name and the next three are from the Kubeless guide; names that were made once are looked up
/// without being parsed.
pub static EVENT_ID: HeaderName = HeaderName::from_static("event-id");
/// What kind of event it is.
pub static EVENT_TYPE: HeaderName = HeaderName::from_static("event-type");
/// When it happened.
pub static EVENT_TIME: HeaderName = HeaderName::from_static("event-time");
/// Where it happened.
pub static EVENT_NAMESPACE: HeaderName = HeaderName::from_static("event-namespace");

/// The four event fields that arrive as headers; `None` where the client sent none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHeaders<'a> {
    /// `event-id`
    pub id: Option<&'a [u8]>,
    /// `event-type`
    pub kind: Option<&'a [u8]>,
    /// `event-time`
    pub time: Option<&'a [u8]>,
    /// `event-namespace`
    pub namespace: Option<&'a [u8]>,
}

/// How the body becomes the event's `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// `application/json`, with or without parameters: parsed.
    Json,
    /// `multipart/*`: left to the request object or an upload library.
    Multipart,
    /// Everything else: handed over as it is.
    Raw,
}

impl DataKind {
    /// Decides by the media type alone; parameters such as `charset` and the case of letters do not matter.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Raw };
        let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let multipart = b"multipart/";
        if essence.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else if essence.len() > multipart.len()
            && essence[..multipart.len()].eq_ignore_ascii_case(multipart)
        {
            Self::Multipart
        } else {
            Self::Raw
        }
    }
}

/// What a function is told about itself; made once per process.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// `FUNC_HANDLER`
    pub function_name: String,
    /// `FUNC_TIMEOUT`
    pub timeout: Duration,
    /// `FUNC_RUNTIME`, when set.
    pub runtime: Option<String>,
    /// `FUNC_MEMORY_LIMIT`, as Kubernetes writes quantities, when set.
    pub memory_limit: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_decides_what_data_is() {
        for (content_type, kind) in [
            ("application/json", DataKind::Json),
            ("Application/JSON; charset=utf-8", DataKind::Json),
            ("application/json;charset=utf-8", DataKind::Json),
            ("application/x+json", DataKind::Raw),
            ("application/jsonlines", DataKind::Raw),
            ("multipart/form-data; boundary=x", DataKind::Multipart),
            ("Multipart/Mixed", DataKind::Multipart),
            ("multipart/", DataKind::Raw),
            ("text/plain", DataKind::Raw),
            ("", DataKind::Raw),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(DataKind::of(&headers), kind, "{content_type}");
        }
        assert_eq!(DataKind::of(&HeaderMap::new()), DataKind::Raw);
    }
}
