//! What the payloads of frames say: calls, replies, errors.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, BytesMut};
use contract::{CallIds, Gauges, RequestId, TraceContext};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::frame::{Fields, Malformed, Read, put_text};

/// Where the bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// There are none.
    Nowhere,
    /// In the rest of this frame.
    Here,
    /// In pieces that follow, to be put together: so many bytes.
    Whole(u64),
    /// In pieces that follow while they are made.
    Streamed,
}

impl Placed {
    fn put(self, buffer: &mut BytesMut) {
        let (tag, size) = match self {
            Self::Nowhere => (0, 0),
            Self::Here => (1, 0),
            Self::Whole(size) => (2, size),
            Self::Streamed => (3, 0),
        };
        buffer.put_u8(tag);
        buffer.put_u64_le(size);
    }

    fn read(fields: &mut Fields) -> Read<Self> {
        let (tag, size) = (fields.u8()?, fields.u64()?);
        Ok(match tag {
            0 => Self::Nowhere,
            1 => Self::Here,
            2 => Self::Whole(size),
            3 => Self::Streamed,
            _ => return Err(Malformed),
        })
    }
}

fn put_headers(buffer: &mut BytesMut, headers: &HeaderMap) {
    buffer.put_u32_le(headers.len() as u32);
    for (name, value) in headers {
        put_text(buffer, name.as_str());
        put_text(buffer, value.as_bytes());
    }
}

fn read_headers(fields: &mut Fields) -> Read<HeaderMap> {
    let count = fields.u32()? as usize;
    // Each takes at least the eight bytes of two lengths.
    if count > fields.0.len() / 8 {
        return Err(Malformed);
    }
    let mut headers = HeaderMap::try_with_capacity(count).map_err(|_| Malformed)?;
    for _ in 0..count {
        let name = fields.parsed(HeaderName::from_bytes)?;
        let value = HeaderValue::from_maybe_shared(fields.bytes()?).map_err(|_| Malformed)?;
        headers.try_append(name, value).map_err(|_| Malformed)?;
    }
    Ok(headers)
}

/// A call without its body and without what ties it to the process that runs it.
#[derive(Debug)]
pub(super) struct CallHead {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) remote: SocketAddr,
    pub(super) ids: CallIds,
    pub(super) deadline: Instant,
}

const VERSIONS: [Version; 4] = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3];

impl CallHead {
    pub(super) fn put(call: &contract::Invocation, body: Placed, buffer: &mut BytesMut) {
        // The two processes read the same clock, but an instant has no number; what is left of it has.
        let left = call.deadline.saturating_duration_since(Instant::now());
        buffer.put_u64_le(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        let version = VERSIONS.iter().position(|version| *version == call.version).unwrap_or(1);
        buffer.put_u8(version as u8);
        put_text(buffer, call.method.as_str());
        match call.uri.path_and_query().filter(|_| call.uri.authority().is_none()) {
            Some(origin) => put_text(buffer, origin.as_str()),
            None => put_text(buffer, call.uri.to_string()),
        }
        match call.remote.ip() {
            IpAddr::V4(ip) => put_text(buffer, ip.octets()),
            IpAddr::V6(ip) => put_text(buffer, ip.octets()),
        }
        buffer.put_u16_le(call.remote.port());
        put_text(buffer, call.ids.request_id.as_str());
        buffer.put_u128_le(call.ids.trace.trace_id);
        buffer.put_u64_le(call.ids.trace.span_id);
        buffer.put_u8(call.ids.trace.flags);
        put_headers(buffer, &call.headers);
        body.put(buffer);
    }

    /// What follows in `fields` is the body, if it is here.
    pub(super) fn read(fields: &mut Fields) -> Read<(Self, Placed)> {
        let left = Duration::from_nanos(fields.u64()?);
        let version = VERSIONS.get(usize::from(fields.u8()?)).copied().ok_or(Malformed)?;
        let method = fields.parsed(Method::from_bytes)?;
        let uri = Uri::from_maybe_shared(fields.bytes()?).map_err(|_| Malformed)?;
        let ip = fields.parsed(|ip| match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
            (Ok(ip), _) => Ok(IpAddr::from(ip)),
            (_, Ok(ip)) => Ok(IpAddr::from(ip)),
            _ => Err(Malformed),
        })?;
        let remote = SocketAddr::new(ip, fields.u16()?);
        let request_id = HeaderValue::from_maybe_shared(fields.bytes()?).map_err(|_| Malformed)?;
        let request_id = RequestId::from_header(&request_id).ok_or(Malformed)?;
        let trace = TraceContext { trace_id: fields.u128()?, span_id: fields.u64()?, flags: fields.u8()? };
        let ids = CallIds { request_id, trace };
        let headers = read_headers(fields)?;
        let body = Placed::read(fields)?;
        let deadline = Instant::now() + left;
        Ok((Self { method, uri, version, headers, remote, ids, deadline }, body))
    }
}

/// The head of a reply.
#[derive(Debug)]
pub(super) struct ReplyHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The processor time that the call took, when its user code is done already.
    pub(super) done: Option<Duration>,
}

impl ReplyHead {
    pub(super) fn put(&self, body: Placed, buffer: &mut BytesMut) {
        put_done(buffer, self.done);
        buffer.put_u16_le(self.status.as_u16());
        put_headers(buffer, &self.headers);
        body.put(buffer);
    }

    pub(super) fn read(fields: &mut Fields) -> Read<(Self, Placed)> {
        let done = read_done(fields)?;
        let status = StatusCode::from_u16(fields.u16()?).map_err(|_| Malformed)?;
        let headers = read_headers(fields)?;
        let body = Placed::read(fields)?;
        Ok((Self { status, headers, done }, body))
    }
}

/// Whether the call's user code is done, and the processor time that it took.
pub(super) fn put_done(buffer: &mut BytesMut, done: Option<Duration>) {
    let nanoseconds = done.map_or(u64::MAX, |took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX - 1));
    buffer.put_u64_le(nanoseconds);
}

pub(super) fn read_done(fields: &mut Fields) -> Read<Option<Duration>> {
    Ok(Some(fields.u64()?).filter(|ns| *ns != u64::MAX).map(Duration::from_nanos))
}

pub(super) fn put_gauges(buffer: &mut BytesMut, gauges: &Gauges) {
    let seconds = |time: Option<Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64());
    buffer.put_f64_le(gauges.tasks.map_or(f64::NAN, |tasks| tasks as f64));
    buffer.put_f64_le(seconds(gauges.lock_wait));
    buffer.put_f64_le(seconds(gauges.loop_lag));
}

pub(super) fn read_gauges(fields: &mut Fields) -> Read<Gauges> {
    let (tasks, lock_wait, loop_lag) = (fields.f64()?, fields.f64()?, fields.f64()?);
    let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    Ok(Gauges {
        tasks: (tasks >= 0.0).then_some(tasks as u64),
        lock_wait: time(lock_wait),
        loop_lag: time(loop_lag),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use contract::{Body, Invocation, Place, cancel::Canceller};

    use super::{
        super::{
            errors::{Refusal, read_error},
            frame::{Frame, Kind, put_head},
        },
        *,
    };

    fn invocation(uri: &str) -> Invocation {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_bytes(b"\xe4").unwrap());
        headers.append("content-type", HeaderValue::from_static("text/plain"));
        let trace = TraceContext { trace_id: 7 << 100, span_id: 9, flags: 1 };
        Invocation {
            method: Method::from_bytes(b"BREW").unwrap(),
            uri: uri.parse().unwrap(),
            version: Version::HTTP_2,
            headers,
            body: Body::Empty,
            remote: "[::1]:80".parse().unwrap(),
            ids: CallIds { request_id: RequestId::from_trace(&trace), trace },
            deadline: Instant::now() + Duration::from_secs(100),
            cancel: Canceller::new().1,
            place: Place::new(()),
        }
    }

    #[test]
    fn a_call_arrives_as_it_was_sent() {
        for uri in ["/a/%20?b=c", "http://example.com/a", "*", "/"] {
            let call = invocation(uri);
            let mut buffer = BytesMut::new();
            CallHead::put(&call, Placed::Whole(5), &mut buffer);
            let (read, body) = CallHead::read(&mut Fields(buffer.freeze())).unwrap();
            assert_eq!(body, Placed::Whole(5));
            assert_eq!((&read.method, &read.uri, read.version), (&call.method, &call.uri, call.version));
            assert_eq!((&read.headers, read.remote), (&call.headers, call.remote));
            assert_eq!(read.ids.request_id, call.ids.request_id);
            assert_eq!(read.ids.trace, call.ids.trace);
            let off = read.deadline.max(call.deadline) - read.deadline.min(call.deadline);
            assert!(off < Duration::from_secs(5), "{off:?}");
        }
    }

    #[test]
    fn a_reply_arrives_as_it_was_sent() {
        let mut buffer = BytesMut::new();
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let head = ReplyHead { status: StatusCode::CREATED, headers, done: Some(Duration::from_millis(3)) };
        head.put(Placed::Here, &mut buffer);
        buffer.put_slice(b"body");
        let mut fields = Fields(buffer.freeze());
        let (read, body) = ReplyHead::read(&mut fields).unwrap();
        assert_eq!((read.status, &read.headers, read.done), (head.status, &head.headers, head.done));
        assert_eq!((body, &*fields.rest()), (Placed::Here, &b"body"[..]));
    }

    /// User code may get hold of the worker's end and write to it what it likes.
    #[test]
    fn anything_else_is_refused_and_never_trusted() {
        let mut whole = BytesMut::new();
        CallHead::put(&invocation("/"), Placed::Nowhere, &mut whole);
        let whole = whole.freeze();
        for end in 0..whole.len() {
            assert!(CallHead::read(&mut Fields(whole.slice(..end))).is_err(), "cut at {end}");
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let noise: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
            let fields = || Fields(Bytes::from(noise.clone()));
            let _ = CallHead::read(&mut fields());
            let _ = ReplyHead::read(&mut fields());
            let _ = read_error(&mut fields());
            let _ = Refusal::read(&mut fields());
            let mut buffer = BytesMut::from(&noise[..]);
            while let Ok(Ok(_)) = Frame::take(&mut buffer) {}
        }
        let mut large = BytesMut::new();
        put_head(&mut large, Kind::Piece, 1, 0);
        large[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Frame::take(&mut large).map(drop), Err(Malformed));
    }
}
