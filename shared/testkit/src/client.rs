//! A small blocking HTTP/1.1 client, and raw connections for what no client would send.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use ureq::Agent;

use crate::process::PATIENCE;

/// Talks to one host. Clones share their kept-alive connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    address: SocketAddr,
}

impl Client {
    /// A client of the host at `address`. It follows no redirects and takes every status for an answer.
    pub fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .max_idle_connections_per_host(64)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { agent: config.into(), address }
    }

    /// A request to be filled in and sent.
    pub fn request(&self, method: Method, path: &str) -> Call<'_> {
        let mut request = Request::new(Vec::new());
        *request.method_mut() = method;
        let uri = format!("http://{}{path}", self.address);
        *request.uri_mut() = uri.parse().unwrap_or_else(|error| panic!("{uri}: {error}"));
        Call { client: self, request }
    }

    /// Sends a GET and reads the whole answer.
    pub fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send()
    }

    /// Sends a GET; an error where there is no answer.
    pub fn try_get(&self, path: &str) -> io::Result<Answer> {
        self.request(Method::GET, path).try_send()
    }

    /// Sends a GET, again if the answer took longer than `limit`: on a machine that is busy with other things not every try
    /// says what the host can do. Panics when no try was fast enough.
    pub fn get_within(&self, limit: Duration, path: &str) -> Answer {
        let mut took = Vec::new();
        for _ in 0..5 {
            let answer = self.get(path);
            if answer.took < limit {
                return answer;
            }
            took.push(answer.took);
        }
        panic!("{path} never took less than {limit:?}: {took:?}");
    }

    /// Sends a POST with this media type and reads the whole answer.
    pub fn post(&self, path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(Method::POST, path).header("content-type", media_type).body(body).send()
    }

    /// The value of a metric, labels included in the name; 0 when there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0.0)
    }

    /// Opens a connection of its own for bytes of the test's own making.
    pub fn connect(&self) -> Raw {
        let stream = TcpStream::connect(self.address).expect("the host accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_nodelay(true).expect("a socket option");
        Raw { stream }
    }
}

/// One request before it is sent.
#[derive(Debug)]
pub struct Call<'a> {
    client: &'a Client,
    request: Request<Vec<u8>>,
}

impl Call<'_> {
    /// Adds a header; a repeated name adds another line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.request.headers_mut().append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sends it and reads the whole answer; panics where there is none.
    pub fn send(self) -> Answer {
        let what = format!("{} {}", self.request.method(), self.request.uri());
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it and reads the whole answer.
    pub fn try_send(self) -> io::Result<Answer> {
        let mut streamed = self.try_open()?;
        let mut body = Vec::new();
        streamed.body.read_to_end(&mut body)?;
        Ok(Answer {
            status: streamed.status,
            headers: streamed.headers,
            body,
            took: streamed.since.elapsed(),
        })
    }

    /// Sends it and returns as soon as the answer's head is there.
    pub fn open(self) -> Streamed {
        let what = format!("{} {}", self.request.method(), self.request.uri());
        self.try_open().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    fn try_open(self) -> io::Result<Streamed> {
        let since = Instant::now();
        let Self { client: Client { agent, .. }, request } = self;
        let (head, body) = request.into_parts();
        // A body of no bytes is still a body for the methods that bring one.
        let bare = body.is_empty() && !matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        let answer = if bare {
            agent.run(Request::from_parts(head, ()))
        } else {
            agent.run(Request::from_parts(head, body))
        };
        let (head, body) = answer.map_err(ureq::Error::into_io)?.into_parts();
        let status = head.status.as_u16();
        Ok(Streamed { status, headers: head.headers, body: Box::new(body.into_reader()), since })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// From sending the request to the body's last byte.
    pub took: Duration,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The first header of this name, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All headers of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

/// An answer whose body is read piece by piece. Dropping it closes its connection unless all was read.
pub struct Streamed {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Box<dyn Read + Send>,
    since: Instant,
}

impl Streamed {
    /// The bytes that have arrived, waiting for at least one; empty at the end of the body.
    pub fn piece(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let read = self.body.read(&mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// The rest of the body.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text).map(|_| text)
    }

    /// Since the request was sent.
    pub fn took(&self) -> Duration {
        self.since.elapsed()
    }
}

/// A connection for bytes of the test's own making.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Sends bytes as they are.
    #[must_use]
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stream.write_all(bytes.as_ref()).expect("the host reads");
        self
    }

    /// Says that nothing more will be sent.
    #[must_use]
    pub fn finish(self) -> Self {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
        self
    }

    /// Reads until `text` has arrived, and returns all that came up to then.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        let mut byte = [0];
        while !all.ends_with(text.as_bytes()) {
            let read = self.stream.read(&mut byte).expect("bytes in time");
            assert!(read > 0, "{text:?} is not in {:?}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&byte);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Reads until the host closes the connection. A reset counts as the end: hosts reset connections whose
    /// request they refused to read to its end.
    pub fn read_to_end(&mut self) -> String {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => String::from_utf8_lossy(&all).into_owned(),
        }
    }
}
