//! One connection: requests in, responses out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use flate2::read::{GzDecoder, ZlibDecoder};

use crate::calls::State;
use crate::reply::{Body, Pieces, Reply};
use crate::request::{Head, Trouble, Wire};
use crate::{broken, broken_any, log, serve};

pub(crate) struct Connection {
    wire: Wire,
    state: &'static State,
}

/// Request id and traceparent.
type Ids = (String, String);

impl Connection {
    pub(crate) fn new(stream: TcpStream, state: &'static State) -> Self {
        let _ = stream.set_nodelay(true);
        Self { wire: Wire { stream, rest: Vec::new() }, state }
    }

    pub(crate) fn serve(mut self) {
        loop {
            let config = &self.state.config;
            let head = match self.wire.head(config.idle_timeout, config.header_timeout) {
                Ok(head) => head,
                Err(Trouble::Over) => return,
                Err(Trouble::Refuse(status)) => return self.refuse(status),
            };
            if head.method == "PRI" {
                return self.http2();
            }
            let _answer = self.state.answer();
            if !self.one(head) {
                return;
            }
        }
    }

    fn refuse(&mut self, status: u16) {
        let _ = write!(
            self.wire.stream,
            "HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }

    /// A SETTINGS frame and the headers of a 200, whatever was asked for.
    fn http2(&mut self) {
        if broken("methods.7/http-2") {
            return self.refuse(400);
        }
        let _ = self.wire.stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        let _ = self.wire.stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]);
        // Until the client has gone: closing with its frames unread would reset the connection, and the answer with it.
        let _ = self.wire.stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = std::io::copy(&mut self.wire.stream, &mut std::io::sink());
    }

    /// Answers one request; whether the connection goes on.
    fn one(&mut self, head: Head) -> bool {
        let hosts = head.all("host").len();
        let allowed = hosts == 1
            || head.old
            || hosts == 0 && broken("security.2/no-host-is-400")
            || hosts > 1 && broken("security.2/two-hosts-are-400");
        if !allowed {
            self.refuse(400);
            return false;
        }
        if head.method == "CONNECT" && !broken("methods.5/connect-is-405") {
            self.refuse(405);
            return false;
        }
        if head.old && broken("methods.6/http-1-0") {
            self.refuse(505);
            return false;
        }
        let ids = ids(&head);
        let closes = head.old
            || head.header("connection").is_some_and(|value| value.contains("close"))
            || broken("reply.9/connection-is-kept")
            || broken("reply.9/answers-keep-their-order") && !self.wire.rest.is_empty();
        let is_head = head.method == "HEAD";
        let line = Head {
            headers: head.headers.clone(),
            method: head.method.clone(),
            path: head.path.clone(),
            query: head.query.clone(),
            old: head.old,
        };
        let deadline = Instant::now() + Duration::from_secs_f64(self.state.config.timeout);
        let (reply, goes_on) = match self.reply(head, &ids, deadline) {
            Ok(reply) => (reply, true),
            Err(Trouble::Over) => {
                if broken("security.7/survives-clients-that-leave") {
                    crate::leave(1);
                }
                return false;
            }
            Err(Trouble::Refuse(status)) => {
                let reply = Reply::new(status, "");
                let allows = broken("cors.2/refused-bodies-have-none");
                (if allows { reply.with("access-control-allow-origin", "*") } else { reply }, false)
            }
        };
        let status = reply.status;
        let whole = self.send(reply, (is_head, closes || !goes_on), &ids, deadline);
        log::access(
            self.state,
            &line,
            status,
            &(ids.0, ids.1.split('-').nth(1).unwrap_or_default().to_owned()),
        );
        whole && goes_on && !closes
    }

    fn reply(&mut self, head: Head, ids: &Ids, deadline: Instant) -> Result<Reply, Trouble> {
        if let Some(reply) = serve::own(self.state, &head).or_else(|| serve::preflight(self.state, &head)) {
            return Ok(reply);
        }
        if self.state.config.fixture == "stream-in" {
            return self.lines();
        }
        let (limit, patience) = (self.state.config.limit, self.state.config.body_timeout);
        let body = self.wire.body(&head, limit, (patience, deadline), |stream| {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        });
        let body = body.and_then(|body| decoded(&head, body, limit));
        if let Err(Trouble::Refuse(413)) = body {
            self.too_large(&head);
        }
        let body = body?;
        let is_json = head
            .header("content-type")
            .is_some_and(|kind| kind.to_lowercase().starts_with("application/json"));
        if is_json && serde_json::from_slice::<serde_json::Value>(&body).is_err() {
            if broken("data.4/function-is-not-called") {
                log::print(self.state, &format!("called {}", head.header("event-id").unwrap_or_default()));
            }
            return Err(Trouble::Refuse(if broken("data.4/malformed-is-400") { 500 } else { 400 }));
        }
        let wire = &mut self.wire;
        let reply = serve::call(self.state, (head, body, ids.1.clone()), deadline, || wire.is_left())
            .ok_or(Trouble::Over)?;
        Ok(self.with_cors(reply))
    }

    fn too_large(&self, head: &Head) {
        if broken("limits.3/function-is-not-called") {
            log::print(self.state, &format!("called {}", head.header("event-id").unwrap_or_default()));
        }
        if broken("limits.3/serves-after-413") {
            crate::leave(1);
        }
        if broken("metrics.5/refused-bodies-are-no-calls") {
            self.state.metrics.count("POST", false, 0.0);
        }
    }

    /// The function `stream-in`.
    fn lines(&mut self) -> Result<Reply, Trouble> {
        if broken("data.12/piece-by-piece") {
            return Err(Trouble::Refuse(411));
        }
        let end = Instant::now() + Duration::from_secs(60);
        let _ = self.wire.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut line = Vec::new();
        while let Ok(piece) = self.wire.chunk(end) {
            line.extend(&piece);
            if line.ends_with(b"\n") || piece.is_empty() && !line.is_empty() {
                let text = format!("{}\n", line.len() - 1);
                let _ = write!(self.wire.stream, "{:x}\r\n{text}\r\n", text.len());
                line.clear();
            }
            if piece.is_empty() {
                break;
            }
        }
        let _ = self.wire.stream.write_all(b"0\r\n\r\n");
        Err(Trouble::Over)
    }

    fn with_cors(&self, mut reply: Reply) -> Reply {
        let name = "access-control-allow-origin";
        let is_left_out = match reply.status {
            408 => broken("cors.1/timeouts-too"),
            500 => broken("cors.1/errors-too"),
            _ => broken("cors.1/every-origin-may-read"),
        };
        if broken("cors.5/function-knows-better") {
            reply.drop_header(name);
        }
        let is_wanted = self.state.config.cors || broken("cors.6/off-allows-nobody");
        if is_wanted && !is_left_out && !reply.has(name) { reply.with(name, "*") } else { reply }
    }

    /// Writes a response; whether it was whole.
    fn send(&mut self, reply: Reply, (is_head, closes): (bool, bool), ids: &Ids, deadline: Instant) -> bool {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let hides_id = reply.status == 500 && broken("trace.1/failures-have-one");
        if !hides_id {
            head += &format!("x-request-id: {}\r\n", ids.0);
        }
        if closes {
            head += "connection: close\r\n";
        }
        let has_body = !matches!(reply.status, 204 | 304);
        match reply.body {
            Body::Whole(body) => {
                let is_framed = reply
                    .headers
                    .iter()
                    .any(|(name, _)| name == "content-length" || name == "transfer-encoding");
                if has_body && !is_framed {
                    head += &format!("content-length: {}\r\n", body.len());
                }
                let mut bytes = (head + "\r\n").into_bytes();
                if !is_head && has_body || is_head && broken("methods.3/head-has-no-body") {
                    bytes.extend(body);
                }
                if !has_body && broken("reply.6/204-has-no-body") {
                    bytes.extend(b"no content");
                }
                self.wire.stream.write_all(&bytes).is_ok()
            }
            Body::Stream(pieces) => {
                let head = head + "transfer-encoding: chunked\r\n\r\n";
                self.wire.stream.write_all(head.as_bytes()).is_ok() && self.stream(&pieces, deadline)
            }
        }
    }

    fn stream(&mut self, pieces: &Pieces, deadline: Instant) -> bool {
        loop {
            match pieces.recv_timeout(Duration::from_millis(20)) {
                Ok(Ok(piece)) => {
                    let written = write!(self.wire.stream, "{:x}\r\n", piece.len())
                        .and_then(|()| self.wire.stream.write_all(&piece))
                        .and_then(|()| self.wire.stream.write_all(b"\r\n"));
                    if written.is_err() {
                        return false;
                    }
                }
                Ok(Err(())) => return false,
                Err(RecvTimeoutError::Disconnected) => {
                    return self.wire.stream.write_all(b"0\r\n\r\n").is_ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.wire.is_left() {
                return false;
            }
            if Instant::now() > deadline {
                if broken("deadline.9/stream-is-cut-off") {
                    let _ = self.wire.stream.write_all(b"0\r\n\r\n");
                }
                return false;
            }
        }
    }
}

fn ids(head: &Head) -> Ids {
    let trace = head.header("traceparent").filter(|text| {
        let parts: Vec<_> = text.split('-').collect();
        parts.len() == 4 && parts[1].len() == 32 && parts[1].bytes().any(|sign| sign != b'0')
    });
    let trace = trace
        .and_then(|text| text.split('-').nth(1).map(str::to_owned))
        .unwrap_or_else(|| format!("{:032x}", fastrand::u128(1..)));
    let span = format!("{:016x}", fastrand::u64(1..));
    let sent = head
        .header("x-request-id")
        .filter(|id| id.len() <= 128 || broken("trace.2/odd-request-id-is-not-echoed"));
    let id = match sent {
        Some(id) if !broken("trace.1/request-id-is-echoed") => id,
        None if broken("trace.1/request-id-is-made") => String::new(),
        _ => trace.clone(),
    };
    (id, format!("00-{trace}-{span}-01"))
}

/// The body without its coding.
fn decoded(head: &Head, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Trouble> {
    let Some(coding) = head.header("content-encoding") else { return Ok(body) };
    let is_left = broken("data.9/gzip-is-undone") && coding == "gzip"
        || broken("data.9/deflate-is-undone") && coding == "deflate"
        || broken("data.9/br-is-undone") && coding == "br"
        || broken("data.10/unknown-coding-is-415") && coding == "rot13";
    if is_left {
        return Ok(body);
    }
    let mut inflated = Vec::new();
    let most = limit as u64 + 1;
    let read = match coding.as_str() {
        "gzip" => GzDecoder::new(&body[..]).take(most).read_to_end(&mut inflated),
        "deflate" => ZlibDecoder::new(&body[..]).take(most).read_to_end(&mut inflated),
        "br" => brotli::Decompressor::new(&body[..], 4096).take(most).read_to_end(&mut inflated),
        _ => return Err(Trouble::Refuse(415)),
    };
    match read {
        Err(_) if broken_any(&["data.10/broken-coding-is-400"]) => Ok(body),
        Err(_) => Err(Trouble::Refuse(400)),
        Ok(_) if inflated.len() > limit && !broken("limits.2/inflated-size-counts") => {
            Err(Trouble::Refuse(413))
        }
        Ok(_) => Ok(inflated),
    }
}
