//! A connection that is written to and read from by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Exchange, Reply, Request, show};
use crate::problem::Problem;

/// How long an answer is waited for where a check says nothing else. No promise is this long: a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// One connection to the target.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    host: String,
    /// What has been read and not used.
    rest: Vec<u8>,
    sent: Vec<u8>,
    patience: Duration,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self, Problem> {
        let refused = |problem| {
            Problem::failed(
                "a connection is accepted",
                format!("{address} cannot be connected to: {problem}"),
            )
        };
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(refused)?;
        stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).map_err(refused)?;
        Ok(Self { stream, host: address.to_string(), rest: Vec::new(), sent: Vec::new(), patience: PATIENCE })
    }

    /// Waits this long for an answer.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends bytes. That a server closes early is seen when its answer is read.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.sent.extend(&bytes[..bytes.len().min(4096)]);
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request.
    pub fn send(&mut self, request: &Request) {
        self.sent.clear();
        self.write(request.bytes(&self.host));
    }

    /// Sends a request's head, and not its body.
    pub fn send_head(&mut self, request: &Request) {
        self.sent.clear();
        self.write(request.head(&self.host));
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: &Request) -> Result<Exchange, Problem> {
        self.send(request);
        self.answer(&request.method)
    }

    /// No more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads the next answer, to a request of this method.
    pub fn answer(&mut self, method: &str) -> Result<Exchange, Problem> {
        let mut reply = self.answer_head()?;
        let end = Instant::now() + self.patience;
        let coded =
            reply.all("transfer-encoding").any(|value| value.to_ascii_lowercase().contains("chunked"));
        if method == "HEAD" || matches!(reply.status, 204 | 304) {
            reply.complete = true;
        } else if coded {
            while let Some(piece) = self.chunk(end) {
                reply.complete = piece.is_empty();
                reply.body.extend(&piece);
                if reply.complete {
                    break;
                }
            }
        } else if let Some(length) =
            reply.header("content-length").and_then(|length| length.parse::<usize>().ok())
        {
            while self.rest.len() < length && self.fill(end) {}
            reply.complete = self.rest.len() >= length;
            reply.body = self.rest.drain(..length.min(self.rest.len())).collect();
        } else {
            while self.fill(end) {}
            reply.body = std::mem::take(&mut self.rest);
            reply.complete = true;
        }
        Ok(Exchange { request: self.sent.clone(), reply })
    }

    /// Reads the next answer's head; its body is read with [`chunk`](Self::chunk) or [`read_some`](Self::read_some).
    pub fn answer_head(&mut self) -> Result<Reply, Problem> {
        let end = Instant::now() + self.patience;
        let mut interim = Vec::new();
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut parsed = httparse::Response::new(&mut fields);
            match parsed.parse(&self.rest) {
                Ok(httparse::Status::Complete(length)) => {
                    let status = parsed.code.unwrap_or_default();
                    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                    let headers = parsed
                        .headers
                        .iter()
                        .map(|field| (field.name.to_owned(), text(field.value)))
                        .collect();
                    let head = self.rest.drain(..length).collect();
                    if (100..200).contains(&status) && status != 101 {
                        interim.push(status);
                        continue;
                    }
                    return Ok(Reply { status, interim, headers, head, ..Reply::default() });
                }
                Ok(httparse::Status::Partial) => {}
                Err(problem) => {
                    return Err(self.problem(&format!("the answer is not HTTP ({problem})")));
                }
            }
            if !self.fill(end) {
                let left = Instant::now() < end;
                let waited = format!("no answer came within {} s", self.patience.as_secs());
                return Err(self.problem(if left {
                    "the connection was closed without an answer"
                } else {
                    &waited
                }));
            }
        }
    }

    fn problem(&self, actual: &str) -> Problem {
        Problem::failed("an answer", actual).with(&show(&self.sent), &show(&self.rest))
    }

    /// The next chunk, without its framing; empty at the end; nothing when the connection or its patience ended first.
    pub fn chunk(&mut self, end: Instant) -> Option<Vec<u8>> {
        let line_end = loop {
            match self.rest.windows(2).position(|pair| pair == b"\r\n") {
                Some(at) => break at,
                None if self.fill(end) => {}
                None => return None,
            }
        };
        let line = String::from_utf8_lossy(&self.rest[..line_end]).into_owned();
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        let whole = line_end + 2 + size + 2;
        while self.rest.len() < whole {
            if !self.fill(end) {
                return None;
            }
        }
        let piece = self.rest[line_end + 2..line_end + 2 + size].to_vec();
        self.rest.drain(..whole);
        Some(piece)
    }

    /// Reads until what has come satisfies `enough`, the connection ends, or `within` is over. What has come is used up.
    pub fn read_until(&mut self, within: Duration, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let end = Instant::now() + within;
        while !enough(&self.rest) && self.fill(end) {}
        std::mem::take(&mut self.rest)
    }

    /// Whether the other side has closed the connection, or does within this time.
    pub fn is_closed(&mut self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while self.fill(end) {}
        Instant::now() < end
    }

    /// Whether anything has come, or the other side has closed the connection.
    pub fn is_answered(&mut self) -> bool {
        let mut piece = [0; 1];
        let is_quiet = self.stream.set_nonblocking(true).is_ok()
            && matches!(self.stream.peek(&mut piece), Err(problem) if problem.kind() == ErrorKind::WouldBlock);
        let _ = self.stream.set_nonblocking(false);
        !is_quiet || !self.rest.is_empty()
    }

    /// Reads more; false when the connection has ended or time is over.
    fn fill(&mut self, end: Instant) -> bool {
        let mut piece = [0; 16384];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(length) => {
                    self.rest.extend(&piece[..length]);
                    return true;
                }
                Err(problem)
                    if matches!(
                        problem.kind(),
                        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                    ) => {}
                Err(_) => return false,
            }
        }
    }
}
