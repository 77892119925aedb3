//! Reading requests.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::broken;

pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) old: bool,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let all = self.all(name);
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// A parameter of the query. The suite's need no decoding.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Why there is no request.
pub(crate) enum Trouble {
    /// The connection has ended, or has been quiet for too long.
    Over,
    /// To be answered with this status.
    Refuse(u16),
}

/// A connection that is read from.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) rest: Vec<u8>,
}

impl Wire {
    /// Reads more until `end`: whether something came, or else whether time is over.
    fn fill(&mut self, end: Instant) -> Result<(), bool> {
        let mut piece = [0; 65536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(true);
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(false),
                Ok(length) => {
                    self.rest.extend(&piece[..length]);
                    return Ok(());
                }
                Err(problem)
                    if matches!(
                        problem.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return Err(false),
            }
        }
    }

    /// The next request's head.
    pub(crate) fn head(&mut self, idle: Duration, slow: Duration) -> Result<Head, Trouble> {
        if self.rest.is_empty() {
            let idle =
                if broken("limits.7/idle-connection-is-closed") { Duration::from_secs(600) } else { idle };
            self.fill(Instant::now() + idle).map_err(|_| Trouble::Over)?;
        }
        let slow = if broken("limits.7/slow-head-is-cut-off") { Duration::from_secs(600) } else { slow };
        let end = Instant::now() + slow;
        loop {
            if let Some(length) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                return self.parse(length + 4);
            }
            if self.rest.len() > 65536 {
                return self.too_large();
            }
            self.fill(end).map_err(|_| Trouble::Over)?;
        }
    }

    fn too_large(&mut self) -> Result<Head, Trouble> {
        let has_long_line = !self.rest[..16384].windows(2).any(|two| two == b"\r\n");
        // What is on its way is taken, or the answer would be lost with it.
        while self.fill(Instant::now() + Duration::from_millis(200)).is_ok() {}
        Err(Trouble::Refuse(match has_long_line {
            true if broken("limits.6/long-target-is-414") => 400,
            false if broken("limits.6/large-head-is-431") => 400,
            true => 414,
            false => 431,
        }))
    }

    fn parse(&mut self, length: usize) -> Result<Head, Trouble> {
        let line = self.rest.windows(2).position(|two| two == b"\r\n").unwrap_or_default();
        if line > 16384 {
            return Err(Trouble::Refuse(if broken("limits.6/long-target-is-414") { 400 } else { 414 }));
        }
        let bytes: Vec<u8> = self.rest.drain(..length).collect();
        if bytes.starts_with(b"PRI * HTTP/2.0") {
            let (method, path, query) = ("PRI".to_owned(), String::new(), String::new());
            return Ok(Head { method, path, query, old: false, headers: Vec::new() });
        }
        if length > 16000 && broken("limits.6/ordinary-head-is-taken") {
            return Err(Trouble::Refuse(431));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if broken("security.3/no-request-is-400") && text.starts_with("this is") {
            return Err(Trouble::Refuse(200));
        }
        let is_odd = text.contains("X-Odd :") && broken("security.3/space-before-colon-is-400")
            || text.contains('\0') && broken("security.3/control-sign-is-400");
        let bytes = if is_odd { text.replace(" :", ":").replace('\0', "").into_bytes() } else { bytes };
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(_)) = parsed.parse(&bytes) else {
            if broken("security.7/survives-noise") {
                crate::leave(1);
            }
            return Err(Trouble::Refuse(400));
        };
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Head {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            old: parsed.version == Some(0),
            headers: parsed
                .headers
                .iter()
                .map(|field| (field.name.to_lowercase(), field.value.to_vec()))
                .collect(),
        })
    }

    /// The body, up to `limit` bytes. `go_on` is called when the client waits for a 100.
    pub(crate) fn body(
        &mut self,
        head: &Head,
        limit: usize,
        (patience, deadline): (Duration, Instant),
        go_on: impl FnOnce(&mut TcpStream),
    ) -> Result<Vec<u8>, Trouble> {
        let lengths = head.all("content-length");
        let codings = head.all("transfer-encoding");
        let coded = !codings.is_empty();
        if coded && !lengths.is_empty() && !broken("security.4/smuggled-request-is-not-answered") {
            return Err(Trouble::Refuse(if broken("security.1/length-and-chunks-are-400") {
                200
            } else {
                400
            }));
        }
        if lengths.len() > 1 && lengths[0] != lengths[1] {
            return Err(Trouble::Refuse(if broken("security.1/two-lengths-are-400") { 200 } else { 400 }));
        }
        if coded && codings.join(",") != "chunked" {
            return Err(Trouble::Refuse(if broken("security.1/unknown-transfer-coding-is-refused") {
                200
            } else {
                501
            }));
        }
        let length = match lengths.first() {
            Some(text) if !coded => {
                if !text.bytes().all(|sign| sign.is_ascii_digit()) {
                    return Err(Trouble::Refuse(if broken("security.1/odd-length-is-400") {
                        200
                    } else {
                        400
                    }));
                }
                text.parse::<usize>().map_err(|_| Trouble::Refuse(400))?
            }
            _ => 0,
        };
        let is_upload = head.header("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
        let has_no_limit =
            broken("limits.2/one-more-is-413") || is_upload && broken("limits.2/multipart-is-413");
        let limit = if has_no_limit { usize::MAX } else { limit };
        let expects = head.header("expect").is_some();
        let refuses_late = broken("limits.2/before-the-body-is-sent");
        if length > limit && !(expects && refuses_late) {
            if !expects {
                self.discard(length);
            }
            return Err(Trouble::Refuse(413));
        }
        if expects {
            if broken("data.13/continue-is-sent") {
                return Err(Trouble::Refuse(417));
            }
            go_on(&mut self.stream);
            if length > limit {
                return Err(Trouble::Refuse(413));
            }
        }
        let quiet = |late: bool| match late {
            true if Instant::now() >= deadline && broken("deadline.6/slow-body-too") => Trouble::Refuse(500),
            true if Instant::now() < deadline && broken("limits.7/slow-body-is-408") => Trouble::Refuse(500),
            true => Trouble::Refuse(408),
            false => Trouble::Over,
        };
        if !coded {
            while self.rest.len() < length {
                self.fill(deadline.min(Instant::now() + patience)).map_err(quiet)?;
            }
            return Ok(self.rest.drain(..length).collect());
        }
        if broken("data.8/chunked-arrives") {
            return Err(Trouble::Refuse(411));
        }
        let mut body = Vec::new();
        loop {
            let piece = self.chunk(deadline.min(Instant::now() + patience)).map_err(|why| {
                why.map_or_else(
                    || Trouble::Refuse(if broken("security.1/broken-chunk-is-400") { 200 } else { 400 }),
                    quiet,
                )
            })?;
            if piece.is_empty() {
                return Ok(body);
            }
            body.extend(piece);
            if body.len() > limit && !broken("limits.2/chunked-is-413") {
                self.discard(usize::MAX);
                return Err(Trouble::Refuse(413));
            }
        }
    }

    /// The next chunk; empty at the end. The error is nothing when it is malformed, or whether time was over.
    pub(crate) fn chunk(&mut self, end: Instant) -> Result<Vec<u8>, Option<bool>> {
        let line_end = loop {
            match self.rest.windows(2).position(|two| two == b"\r\n") {
                Some(at) => break at,
                None => self.fill(end).map_err(Some)?,
            }
        };
        let line = String::from_utf8_lossy(&self.rest[..line_end]).into_owned();
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| None)?;
        while self.rest.len() < line_end + 4 + size {
            self.fill(end).map_err(Some)?;
        }
        let piece = self.rest[line_end + 2..line_end + 2 + size].to_vec();
        self.rest.drain(..line_end + 4 + size);
        Ok(piece)
    }

    /// Takes what is on its way, or the answer would be lost with it.
    fn discard(&mut self, length: usize) {
        while self.rest.len() < length && self.fill(Instant::now() + Duration::from_millis(200)).is_ok() {}
        self.rest.clear();
    }

    /// Whether the client has closed the connection.
    pub(crate) fn is_left(&mut self) -> bool {
        let mut piece = [0; 1];
        let _ = self.stream.set_nonblocking(true);
        let left = matches!(self.stream.peek(&mut piece), Ok(0));
        let _ = self.stream.set_nonblocking(false);
        left
    }
}
