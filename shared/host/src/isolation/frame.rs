//! The words that host and worker exchange, as bytes.
//!
//! A frame is 9 bytes, the payload's length, the call it belongs to (0 for none) and its kind, and the payload. Both
//! ends are the same binary, so there are no versions; but user code lives in one of them, so whatever is read is
//! checked, and what cannot be understood ends the worker and nothing else.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use contract::{
    BodyError, CallIds, CancelReason, Failure, Gauges, HandlerError, LoadError, RequestId, TraceContext,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 9;

/// The largest payload: a head with everything that may be in it fits easily, and bodies come in pieces.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $number:literal,)*) => {
        /// What a frame says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind { $($(#[$about])* $name = $number,)* }

        impl Kind {
            fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// To the worker: run this.
    Call = 1,
    /// To the worker: nobody waits for the call any more.
    Cancel = 2,
    /// To the worker: say how the engine does.
    AskGauges = 3,
    /// To the worker: there will be no more calls; come to an end.
    Finish = 4,
    /// To the host: the function is loaded.
    Loaded = 16,
    /// To the host: the function could not be loaded.
    Refused = 17,
    /// To the host: the head of a reply, with its body unless that follows.
    Reply = 18,
    /// To the host: there is no reply, for this reason.
    Failed = 19,
    /// To the host: the call's user code is done.
    Done = 20,
    /// To the host: lines for the log.
    Lines = 21,
    /// To the host: an error that no reply could carry was logged.
    Stray = 22,
    /// To the host: where a call was when it was cancelled.
    Whereabouts = 23,
    /// To the host: the answer to `AskGauges`.
    Gauges = 24,
    /// Both ways: a piece of a body.
    Piece = 32,
    /// Both ways: the body is complete.
    End = 33,
    /// Both ways: the body ends before its time.
    Broken = 34,
    /// Both ways: so many bytes of the body have been taken.
    Taken = 35,
    /// Both ways: nobody reads the body any more.
    Unread = 36,
}

/// A frame that has arrived.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) call: u32,
    pub(super) payload: Fields,
}

/// What came is not what a host or a worker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Frame {
    /// Takes the first frame out of `buffer` if it is there as a whole; otherwise says how many bytes are missing.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Result<Self, usize>, Malformed> {
        let Some(mut head) = buffer.get(..HEAD) else { return Ok(Err(HEAD - buffer.len())) };
        let (size, call, kind) = (head.get_u32_le() as usize, head.get_u32_le(), head.get_u8());
        let kind = Kind::of(kind).filter(|_| size <= LARGEST).ok_or(Malformed)?;
        if buffer.len() < HEAD + size {
            return Ok(Err(HEAD + size - buffer.len()));
        }
        buffer.advance(HEAD);
        Ok(Ok(Self { kind, call, payload: Fields(buffer.split_to(size).freeze()) }))
    }
}

/// Writes the first bytes of a frame.
pub(super) fn put_head(buffer: &mut BytesMut, kind: Kind, call: u32, size: usize) {
    debug_assert!(size <= LARGEST, "{kind:?} of {size} bytes");
    buffer.put_u32_le(size as u32);
    buffer.put_u32_le(call);
    buffer.put_u8(kind as u8);
}

/// A payload, read from front to back.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Bytes);

type Read<T> = Result<T, Malformed>;

impl Fields {
    pub(super) fn u8(&mut self) -> Read<u8> {
        self.0.try_get_u8().map_err(|_| Malformed)
    }

    fn u16(&mut self) -> Read<u16> {
        self.0.try_get_u16_le().map_err(|_| Malformed)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.0.try_get_u32_le().map_err(|_| Malformed)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        self.0.try_get_u64_le().map_err(|_| Malformed)
    }

    pub(super) fn f64(&mut self) -> Read<f64> {
        self.0.try_get_f64_le().map_err(|_| Malformed)
    }

    fn u128(&mut self) -> Read<u128> {
        self.0.try_get_u128_le().map_err(|_| Malformed)
    }

    fn bytes(&mut self) -> Read<Bytes> {
        let size = self.u32()? as usize;
        if size > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(size))
    }

    pub(super) fn text(&mut self) -> Read<String> {
        let bytes = self.bytes()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }
}

pub(super) fn put_text(buffer: &mut BytesMut, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    buffer.put_u32_le(text.len() as u32);
    buffer.put_slice(text);
}

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
        let name = HeaderName::from_bytes(&fields.bytes()?).map_err(|_| Malformed)?;
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
        let method = Method::from_bytes(&fields.bytes()?).map_err(|_| Malformed)?;
        let uri = Uri::from_maybe_shared(fields.bytes()?).map_err(|_| Malformed)?;
        let ip = fields.bytes()?;
        let ip = match (<[u8; 4]>::try_from(&*ip), <[u8; 16]>::try_from(&*ip)) {
            (Ok(ip), _) => IpAddr::from(ip),
            (_, Ok(ip)) => IpAddr::from(ip),
            _ => return Err(Malformed),
        };
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

pub(super) fn put_error(buffer: &mut BytesMut, error: &HandlerError) {
    if let HandlerError::Body(error) = error {
        return put_body_error(buffer, error);
    }
    let (tag, texts): (u8, [&str; 3]) = match error {
        HandlerError::Raised(Failure { kind, message, stack }) => (0, [kind, message, stack]),
        HandlerError::BadData(what) => (1, [what, "", ""]),
        HandlerError::BadReply(what) => (2, [what, "", ""]),
        HandlerError::Stopped => (3, [""; 3]),
        HandlerError::Lost(what) => (4, [what, "", ""]),
        // The first is written above, and only the host keeps the account of the other.
        HandlerError::Body(_) | HandlerError::OutOfCpu(_) => (3, [""; 3]),
    };
    buffer.put_u8(tag);
    for text in texts {
        // The report of an error may hold anything that the function has put into it.
        put_text(buffer, beginning(text, LARGEST / 4));
    }
}

/// Tags of errors of bodies follow those of errors of calls.
const BODY: u8 = 16;

fn put_body_error(buffer: &mut BytesMut, error: &BodyError) {
    let (tag, numbers, text) = match error {
        BodyError::TooLarge { declared: None, limit } => (0, [*limit, 0], ""),
        BodyError::TooLarge { declared: Some(declared), limit } => (1, [*limit, *declared], ""),
        BodyError::Stalled(time) => (2, [u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 0], ""),
        BodyError::Late(time) => (3, [u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 0], ""),
        BodyError::Malformed(what) => (4, [0; 2], what.as_str()),
        BodyError::Coding(what) => (5, [0; 2], what.as_str()),
        BodyError::Gone => (6, [0; 2], ""),
    };
    buffer.put_u8(BODY + tag);
    numbers.iter().for_each(|number| buffer.put_u64_le(*number));
    put_text(buffer, beginning(text, LARGEST / 4));
}

fn read_body_error(tag: u8, fields: &mut Fields) -> Read<BodyError> {
    let ([first, second], text) = ([fields.u64()?, fields.u64()?], fields.text()?);
    Ok(match tag {
        0 => BodyError::TooLarge { declared: None, limit: first },
        1 => BodyError::TooLarge { declared: Some(second), limit: first },
        2 => BodyError::Stalled(Duration::from_nanos(first)),
        3 => BodyError::Late(Duration::from_nanos(first)),
        4 => BodyError::Malformed(text),
        5 => BodyError::Coding(text),
        6 => BodyError::Gone,
        _ => return Err(Malformed),
    })
}

pub(super) fn read_error(fields: &mut Fields) -> Read<HandlerError> {
    let tag = fields.u8()?;
    if tag >= BODY {
        return Ok(read_body_error(tag - BODY, fields)?.into());
    }
    let [kind, message, stack] = [fields.text()?, fields.text()?, fields.text()?];
    Ok(match tag {
        0 => HandlerError::Raised(Failure { kind, message, stack }),
        1 => HandlerError::BadData(kind),
        2 => HandlerError::BadReply(kind),
        3 => HandlerError::Stopped,
        4 => HandlerError::Lost(kind),
        _ => return Err(Malformed),
    })
}

/// As much of a text as fits, whole characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
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

/// Why a worker could not load the function. A panic is a fault of ours and has no other words.
#[derive(Debug)]
pub(crate) enum Refusal {
    Load(LoadError),
    Panicked,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Panicked => f.write_str("the engine panicked while it loaded the function"),
        }
    }
}

impl Refusal {
    pub(super) fn put(&self, buffer: &mut BytesMut) {
        let (tag, message, stack) = match self {
            Self::Load(LoadError::Runtime(message)) => (0, message.as_str(), ""),
            Self::Load(LoadError::NotFound(message)) => (1, message.as_str(), ""),
            Self::Load(LoadError::Failed { message, stack }) => (2, message.as_str(), stack.as_str()),
            Self::Panicked => (3, "", ""),
        };
        buffer.put_u8(tag);
        put_text(buffer, beginning(message, LARGEST / 4));
        put_text(buffer, beginning(stack, LARGEST / 4));
    }

    pub(super) fn read(fields: &mut Fields) -> Read<Self> {
        let (tag, message, stack) = (fields.u8()?, fields.text()?, fields.text()?);
        Ok(match tag {
            0 => Self::Load(LoadError::Runtime(message)),
            1 => Self::Load(LoadError::NotFound(message)),
            2 => Self::Load(LoadError::Failed { message, stack }),
            3 => Self::Panicked,
            _ => return Err(Malformed),
        })
    }
}

pub(super) fn read_reason(fields: &mut Fields) -> Read<CancelReason> {
    CancelReason::ALL.get(usize::from(fields.u8()?)).copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use contract::{Body, Invocation, Place, cancel::Canceller};

    use super::*;

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
    fn a_reply_and_its_errors_arrive_as_they_were_sent() {
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

        let raised = Failure { kind: "E".to_owned(), message: "m".to_owned(), stack: "s\n t".to_owned() };
        for error in [
            HandlerError::Raised(raised),
            HandlerError::BadData("d".to_owned()),
            HandlerError::BadReply("r".to_owned()),
            HandlerError::Stopped,
            HandlerError::Lost("l".to_owned()),
            BodyError::TooLarge { declared: None, limit: 7 }.into(),
            BodyError::TooLarge { declared: Some(9), limit: 7 }.into(),
            BodyError::Stalled(Duration::from_millis(5)).into(),
            BodyError::Late(Duration::from_secs(5)).into(),
            BodyError::Malformed("m".to_owned()).into(),
            BodyError::Coding("c".to_owned()).into(),
            BodyError::Gone.into(),
        ] {
            let mut buffer = BytesMut::new();
            put_error(&mut buffer, &error);
            let read = read_error(&mut Fields(buffer.freeze())).unwrap();
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
        }
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

    #[test]
    fn a_frame_in_pieces_says_how_much_is_missing() {
        let mut buffer = BytesMut::new();
        assert_eq!(Frame::take(&mut buffer).unwrap().unwrap_err(), HEAD);
        put_head(&mut buffer, Kind::Done, 3, 4);
        buffer.put_slice(b"ab");
        assert_eq!(Frame::take(&mut buffer).unwrap().unwrap_err(), 2);
        buffer.put_slice(b"cdx");
        let frame = Frame::take(&mut buffer).unwrap().unwrap();
        assert_eq!((frame.kind, frame.call, &*frame.payload.0), (Kind::Done, 3, &b"abcd"[..]));
        assert_eq!(&*buffer, b"x");
    }
}
