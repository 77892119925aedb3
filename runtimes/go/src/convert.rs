//! Between the server's words and the flat ones of `funchost.h`.

use std::io::Write as _;

use contract::{Context, HandlerError, Invocation, Reply};
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

/// The context's timeout as a Kubeless function sees it: seconds, as text.
pub(crate) fn timeout(context: &Context) -> String {
    format!("{}", context.timeout.as_secs_f64())
}

/// `go1.26.1` as `Go 1.26.1`.
pub(crate) fn runtime_version(go_version: &str) -> String {
    go_version.strip_prefix("go").map_or_else(|| go_version.to_owned(), |number| format!("Go {number}"))
}
