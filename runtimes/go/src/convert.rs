//! Between the server's words and the flat ones of `funchost.h`.

use std::io::Write as _;

use contract::{BodyError, Context, HandlerError, Invocation, Reply};
use http::{HeaderValue, Version, header, uri::Authority};

/// A request without its body, as `funchost_call.head` describes it.
pub(crate) fn head(call: &Invocation) -> Vec<u8> {
    // Sizes that fit most requests, so that the buffer grows seldom.
    let mut head = Head::with_room_for(5 + 2 * call.headers.len(), 256 + 48 * call.headers.len());
    head.text(call.method.as_str().as_bytes());
    match call.uri.path_and_query() {
        // HTTP/2 sends scheme and authority beside the path, which is what a request line would have.
        Some(path) if call.version == Version::HTTP_2 || call.uri.authority().is_none() => {
            head.text(path.as_str().as_bytes());
        }
        _ => head.display(&call.uri),
    }
    head.text(match call.version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    });
    let authority = call.uri.authority().map(Authority::as_str).map(str::as_bytes);
    let host = call.headers.get(header::HOST).map(HeaderValue::as_bytes);
    head.text(authority.or(host).unwrap_or_default());
    head.display(&call.remote);
    for (name, value) in &call.headers {
        // net/http has it as Request.Host only.
        if name != header::HOST {
            head.canonical_name(name.as_str());
            head.text(value.as_bytes());
        }
    }
    head.finish()
}

/// The buffer of a head: a table of lengths in front, filled while the texts are written behind it.
struct Head {
    buffer: Vec<u8>,
    room: usize,
    texts: usize,
    start: usize,
}

impl Head {
    fn with_room_for(texts: usize, bytes: usize) -> Self {
        let table = 4 + 4 * texts;
        let mut buffer = Vec::with_capacity(table + bytes);
        buffer.resize(table, 0);
        Self { buffer, room: texts, texts: 0, start: table }
    }

    fn text(&mut self, text: &[u8]) {
        self.buffer.extend_from_slice(text);
        self.close();
    }

    fn display(&mut self, text: &impl std::fmt::Display) {
        // Writing to a vector cannot fail.
        let _ = write!(self.buffer, "{text}");
        self.close();
    }

    /// `content-type` as `Content-Type`: the form that Go's `http.Header` looks names up in.
    fn canonical_name(&mut self, name: &str) {
        let mut upper = true;
        self.buffer.extend(name.bytes().map(|byte| {
            let byte = if upper { byte.to_ascii_uppercase() } else { byte };
            upper = byte == b'-';
            byte
        }));
        self.close();
    }

    fn close(&mut self) {
        let end = self.buffer.len();
        let length = (end - self.start) as u32;
        self.texts += 1;
        self.buffer[4 * self.texts..4 * self.texts + 4].copy_from_slice(&length.to_le_bytes());
        self.start = end;
    }

    fn finish(mut self) -> Vec<u8> {
        // A Host header leaves two places of the table unused: they go out before the texts.
        let unused = self.room - self.texts;
        let table = 4 + 4 * self.texts;
        self.buffer.drain(table..table + 4 * unused);
        self.buffer[..4].copy_from_slice(&(self.texts as u32).to_le_bytes());
        self.buffer
    }
}

/// The head of a reply: status, headers as `funchost.h` describes them, and the media type that was guessed, if any.
pub(crate) fn reply(status: u32, headers: &[u8], media: &[u8]) -> Result<Reply, HandlerError> {
    let mut reply = Reply::default();
    if status != 200 {
        reply.set_status(i64::from(status))?;
    }
    if !media.is_empty() {
        reply.headers.insert(header::CONTENT_TYPE, media_type(media)?);
    }
    let mut rest = headers;
    while let Some((lengths, after)) = rest.split_first_chunk::<8>() {
        let (name, value) = lengths.split_at(4);
        let (name, after) = split(after, name)?;
        let (value, after) = split(after, value)?;
        reply.append_header(name, value)?;
        rest = after;
    }
    Ok(reply)
}

fn split<'a>(rest: &'a [u8], length: &[u8]) -> Result<(&'a [u8], &'a [u8]), HandlerError> {
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    rest.split_at_checked(length)
        .ok_or_else(|| HandlerError::Lost("the plugin sent headers that end too early".to_owned()))
}

/// Nearly every reply has one of the first two.
fn media_type(media: &[u8]) -> Result<HeaderValue, HandlerError> {
    const COMMON: [&str; 3] =
        ["text/plain; charset=utf-8", "text/html; charset=utf-8", "application/octet-stream"];
    match COMMON.iter().find(|common| common.as_bytes() == media) {
        Some(common) => Ok(HeaderValue::from_static(common)),
        None => HeaderValue::from_bytes(media)
            .map_err(|_| HandlerError::Lost("the plugin sent a media type that is not one".to_owned())),
    }
}

/// Why a request's body does not come to its end, as `funchost_failure` has it: the kind, and the limit if it is about
/// one.
pub(crate) fn body_failure(error: &HandlerError) -> (u32, u64) {
    match error {
        HandlerError::Body(BodyError::TooLarge { limit, .. }) => (1, *limit),
        HandlerError::Body(BodyError::Gone) => (2, 0),
        HandlerError::Body(BodyError::Stalled(_) | BodyError::Late(_)) => (3, 0),
        _ => (4, 0),
    }
}

/// The context's timeout as a Kubeless function sees it: seconds, as text.
pub(crate) fn timeout(context: &Context) -> String {
    format!("{}", context.timeout.as_secs_f64())
}

/// `go1.26.1` as `Go 1.26.1`.
pub(crate) fn runtime_version(go_version: &str) -> String {
    go_version.strip_prefix("go").map_or_else(|| go_version.to_owned(), |number| format!("Go {number}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use contract::{Body, CallIds, Place, RequestId, TraceContext, cancel::Canceller};
    use http::{HeaderMap, HeaderName, Method, Uri};

    use super::*;

    fn invocation(version: Version, uri: &str, headers: &[(&str, &[u8])]) -> Invocation {
        let trace = TraceContext { trace_id: 1, span_id: 2, flags: 0 };
        Invocation {
            method: Method::GET,
            uri: uri.parse::<Uri>().unwrap(),
            version,
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap())
                })
                .fold(HeaderMap::new(), |mut headers, (name, value)| {
                    headers.append(name, value);
                    headers
                }),
            body: Body::Empty,
            remote: ([192, 0, 2, 1], 4711).into(),
            ids: CallIds { request_id: RequestId::from_trace(&trace), trace },
            deadline: Instant::now(),
            cancel: Canceller::new().1,
            place: Place::new(()),
        }
    }

    /// Reads a head as the plugin does.
    fn texts(head: &[u8]) -> Vec<String> {
        let word = |at: usize| u32::from_le_bytes(head[4 * at..4 * at + 4].try_into().unwrap()) as usize;
        let mut rest = &head[4 + 4 * word(0)..];
        let texts = (1..=word(0)).map(|index| {
            let (text, after) = rest.split_at(word(index));
            rest = after;
            text.iter().map(|byte| char::from(*byte)).collect()
        });
        let texts = texts.collect();
        assert!(rest.is_empty());
        texts
    }

    #[test]
    fn a_head_has_the_request_line_the_host_and_canonical_header_names() {
        let headers: [(&str, &[u8]); 5] = [
            ("x-request-id", b"1"),
            ("host", b"example.org"),
            ("accept", b"a"),
            ("accept", b"b"),
            ("x-bytes", b"\xff"),
        ];
        let head = head(&invocation(Version::HTTP_11, "/a%20b?c", &headers));
        let expected = [
            ["GET", "/a%20b?c", "HTTP/1.1", "example.org", "192.0.2.1:4711"].as_slice(),
            &["X-Request-Id", "1", "Accept", "a", "Accept", "b", "X-Bytes", "\u{ff}"],
        ];
        assert_eq!(texts(&head), expected.concat());
    }

    #[test]
    fn the_authority_of_the_uri_is_the_host() {
        let with_host: [(&str, &[u8]); 1] = [("host", b"other.example")];
        let expect = |version, uri, headers: &[_], expected: [&str; 3]| {
            assert_eq!(texts(&head(&invocation(version, uri, headers)))[1..4], expected, "{uri}");
        };
        // HTTP/2 has no request line, net/http shows the path; a proxy's request line is shown as it came.
        let uri = "http://example.org/a?b";
        expect(Version::HTTP_2, uri, &[], ["/a?b", "HTTP/2.0", "example.org"]);
        expect(Version::HTTP_11, uri, &with_host, [uri, "HTTP/1.1", "example.org"]);
        expect(Version::HTTP_10, "/", &[], ["/", "HTTP/1.0", ""]);
        expect(Version::HTTP_11, "*", &with_host, ["*", "HTTP/1.1", "other.example"]);
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (name, value) in pairs {
            encoded.extend((name.len() as u32).to_le_bytes());
            encoded.extend((value.len() as u32).to_le_bytes());
            encoded.extend(name.bytes().chain(value.bytes()));
        }
        encoded
    }

    #[test]
    fn a_reply_has_the_status_and_all_headers_in_order() {
        let encoded = headers(&[("X-A", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("X-Empty", "")]);
        let reply = reply(201, &encoded, b"text/css").unwrap();
        let found: Vec<(&str, &str)> =
            reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(reply.status, 201);
        let expected = [
            ("content-type", "text/css"),
            ("x-a", "1"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("x-empty", ""),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn headers_that_end_too_early_are_the_plugins_fault_and_read_nothing_else() {
        let encoded = headers(&[("X-A", "1")]);
        for end in 8..encoded.len() {
            assert!(matches!(reply(200, &encoded[..end], b""), Err(HandlerError::Lost(_))), "{end}");
        }
        assert!(matches!(reply(600, b"", b""), Err(HandlerError::BadReply(_))));
    }

    #[test]
    fn the_timeout_is_written_as_a_user_writes_it() {
        for (timeout, text) in [(Duration::from_secs(180), "180"), (Duration::from_millis(500), "0.5")] {
            let context =
                Context { function_name: String::new(), timeout, runtime: None, memory_limit: None };
            assert_eq!(super::timeout(&context), text);
        }
        assert_eq!(runtime_version("go1.26.1"), "Go 1.26.1");
    }
}
