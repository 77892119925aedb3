//! An engine without a language: the request's path chooses how the "function" behaves.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use contract::{
    Body, BodyError, CancelReason, Cancelled, Capability, DataKind, Engine, Failure, Gauges, HandlerError,
    HandlerSource, Invocation, LoadError, Place, Reply,
};
use futures_util::{
    future,
    stream::{self, Stream, StreamExt},
};
use http::HeaderValue;
use tokio::sync::{Notify, watch};

use crate::worst;

/// Behaves as the path of each request says:
///
/// | path | behaviour |
/// |---|---|
/// | `/spy` | answers what the engine was given, as text lines |
/// | `/echo` | answers the body |
/// | `/sleep/<ms>` | answers after so many milliseconds, unless cancelled |
/// | `/hang` | waits until it is cancelled |
/// | `/stubborn` | waits for [`FakeEngine::release`], cancelled or not |
/// | `/fail` | raises |
/// | `/panic` | panics in the engine |
/// | `/bad-reply` | cannot be sent |
/// | `/bad-data` | refuses the request's data |
/// | `/headers` | sets headers that a function may not set |
/// | `/origin` | chooses its own allowed origin |
/// | `/status/<n>` | answers `hello` with this status |
/// | `/stream/<n>` | streams so many pieces |
/// | `/stream-panic` | streams one piece and then panics in the engine |
/// | `/stream-hang` | streams one piece and then nothing |
/// | `/stream-fail` | streams one piece and then fails |
/// | `/read/<n>` | reads so many pieces of a streamed body, or all of it, and answers how many bytes there were |
/// | `/read-later` | the same as `/read` after [`FakeEngine::release`] |
/// | `/read-anyway` | the same as `/read`, and takes a body that is not whole for one that is |
/// | `/read-and-hang` | reads all of a streamed body, and waits until it is cancelled |
/// | `/respond/<n>` | streams one piece for each of so many pieces of a streamed body, which it takes for all |
/// | `/worst/...` | see [`worst`] |
/// | any other | `hello` |
///
/// Clones are handles on one engine, so that a test can watch the one it has handed to a server.
#[derive(Clone, Debug, Default)]
pub struct FakeEngine {
    release: Arc<Notify>,
    seen: Arc<Log>,
    capacity: Option<NonZeroUsize>,
    streams_requests: bool,
}

/// Something that the engine noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A call of this path.
    Called(String),
    /// A call was cancelled.
    Cancelled(CancelReason),
    /// The reader of a stream has gone.
    StreamDropped,
    /// A piece of so many bytes of a streamed body.
    Piece(usize),
    /// A streamed body ended with this instead of its end.
    BodyFailed(BodyError),
}

#[derive(Debug)]
struct Log(watch::Sender<Vec<Seen>>);

impl Default for Log {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl Log {
    fn add(&self, seen: Seen) {
        self.0.send_modify(|all| all.push(seen));
    }
}

impl FakeEngine {
    /// With room for so many calls.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { capacity: NonZeroUsize::new(capacity), ..Self::default() }
    }

    /// Whose function takes request bodies as they come.
    pub fn that_streams_requests() -> Self {
        Self { streams_requests: true, ..Self::default() }
    }

    /// Lets one call go that waits for this.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// Waits until `seen` has happened.
    pub async fn until(&self, seen: &Seen) {
        // The sender lives in `self`.
        let _ = self.seen.0.subscribe().wait_for(|all| all.contains(seen)).await;
    }

    /// Everything that has happened.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.0.borrow().clone()
    }

    async fn until_cancelled(&self, cancel: &Cancelled) -> Result<Reply, HandlerError> {
        let reason = cancel.cancelled().await;
        self.seen.add(Seen::Cancelled(reason));
        Err(HandlerError::Stopped)
    }
}

impl Engine for FakeEngine {
    const NAME: &'static str = "fake";
    const CAPABILITIES: &'static [Capability] =
        &[Capability::StreamingReply, Capability::StreamingRequest, Capability::BinaryBody];

    fn load(source: HandlerSource) -> Result<Self, LoadError> {
        worst::load(&source.module, &source.root)?;
        match source.module.as_str() {
            "missing" => Err(LoadError::NotFound(format!("there is no module \"{}\"", source.module))),
            "broken" => Err(LoadError::Failed {
                message: "module \"broken\" failed".to_owned(),
                stack: "  at line 1".to_owned(),
            }),
            "no-language" => Err(LoadError::Runtime("no library was found".to_owned())),
            "panics" => panic!("as asked"),
            "streams" => Ok(Self::that_streams_requests()),
            _ => Ok(Self::default()),
        }
    }

    fn runtime_version(&self) -> String {
        "Fake 1.0".to_owned()
    }

    fn capacity(&self) -> Option<NonZeroUsize> {
        self.capacity
    }

    async fn gauges(&self) -> Gauges {
        Gauges { tasks: Some(7), ..Gauges::default() }
    }

    fn streams_requests(&self) -> bool {
        self.streams_requests
    }

    fn invoke(&self, call: Invocation) -> impl Future<Output = Result<Reply, HandlerError>> + Send {
        // Boxed: the answer to `/`, which benchmarks ask for, does not pay for the others.
        let behaves = (call.path() != "/").then(|| Box::pin(self.behave(call)));
        async move {
            match behaves {
                None => Ok(text("hello")),
                Some(behaves) => behaves.await,
            }
        }
    }
}

impl FakeEngine {
    /// What the path asks for.
    async fn behave(&self, call: Invocation) -> Result<Reply, HandlerError> {
        let path = call.path().to_owned();
        self.seen.add(Seen::Called(path.clone()));
        let (behaviour, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        let number = argument.parse::<u64>().unwrap_or(0);
        match behaviour {
            "worst" => worst::behave(call, argument).await.map(text),
            "spy" => Ok(text(spy(&call))),
            "echo" => Ok(Reply { body: call.body, ..text("") }),
            "sleep" => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(number)) => Ok(text("slept")),
                stopped = self.until_cancelled(&call.cancel) => stopped,
            },
            "hang" => self.until_cancelled(&call.cancel).await,
            "stubborn" => {
                self.release.notified().await;
                Ok(text("released"))
            }
            "fail" => Err(HandlerError::Raised(Failure {
                kind: "FakeError".to_owned(),
                message: "a secret".to_owned(),
                stack: "  at /secret/place:1".to_owned(),
            })),
            "panic" => panic!("as asked"),
            "bad-reply" => Err(HandlerError::BadReply("it is a secret".to_owned())),
            "bad-data" => Err(HandlerError::BadData("line 1 column 1".to_owned())),
            "headers" => with_headers(&[
                ("content-length", "3"),
                ("content-length", "5"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("transfer-encoding", "chunked"),
                ("x-kept", "1"),
            ]),
            "origin" => with_headers(&[("access-control-allow-origin", "https://example.com")]),
            "status" => {
                let mut reply = text("hello");
                reply.set_status(i64::try_from(number).unwrap_or_default())?;
                Ok(reply)
            }
            "stream" => Ok(self.streamed(call.place, (0..number).map(|n| Ok(format!("piece {n}\n"))))),
            "stream-hang" => {
                let first = stream::iter([Ok(Bytes::from("first\n"))]);
                Ok(self.streaming(call.place, first.chain(stream::pending())))
            }
            "stream-fail" => {
                let failure = Failure { message: "half-way".to_owned(), ..Failure::default() };
                let pieces = [Ok("first\n".to_owned()), Err(HandlerError::Raised(failure))];
                Ok(self.streamed(call.place, pieces.into_iter()))
            }
            "stream-panic" => {
                let pieces =
                    (0..2).map(|n| if n == 0 { Ok("first\n".to_owned()) } else { panic!("as asked") });
                Ok(self.streamed(call.place, pieces))
            }
            "read" | "read-later" | "read-anyway" => {
                if behaviour == "read-later" {
                    self.release.notified().await;
                }
                let most = if argument.is_empty() { u64::MAX } else { number };
                match self.read(call.body, most).await {
                    (read, Some(_)) if behaviour == "read-anyway" => Ok(text(format!("read {read}"))),
                    (_, Some(error)) => Err(error),
                    (read, None) => Ok(text(format!("read {read}"))),
                }
            }
            "read-and-hang" => {
                self.read(call.body, u64::MAX).await;
                self.until_cancelled(&call.cancel).await
            }
            "respond" => {
                let Body::Stream(pieces) = call.body else { return Ok(text("no stream")) };
                let pieces = pieces.take(argument.parse().unwrap_or(usize::MAX));
                let pieces = pieces.take_while(|piece| future::ready(piece.is_ok()));
                let replies = pieces.map(|piece| piece.map(|piece| format!("{}\n", piece.len()).into()));
                Ok(self.streaming(call.place, replies))
            }
            _ => Ok(text("hello")),
        }
    }

    /// Reads so many pieces of a body. How many bytes there were, and why there are no more, if that is not the end.
    async fn read(&self, body: Body, most: u64) -> (usize, Option<HandlerError>) {
        let Body::Stream(mut pieces) = body else { return (body.bytes().len(), None) };
        let mut read = 0;
        for _ in 0..most {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    read += piece.len();
                    self.seen.add(Seen::Piece(piece.len()));
                }
                Some(Err(error)) => {
                    if let HandlerError::Body(error) = &error {
                        self.seen.add(Seen::BodyFailed(error.clone()));
                    }
                    return (read, Some(error));
                }
                None => break,
            }
        }
        (read, None)
    }

    fn streamed(
        &self,
        place: Place,
        pieces: impl Iterator<Item = Result<String, HandlerError>> + Send + 'static,
    ) -> Reply {
        self.streaming(place, stream::iter(pieces.map(|piece| piece.map(Bytes::from))))
    }

    /// A stream that keeps its call's place, and tells when it is let go of.
    fn streaming(
        &self,
        place: Place,
        pieces: impl Stream<Item = Result<Bytes, HandlerError>> + Send + 'static,
    ) -> Reply {
        let held = Held { seen: self.seen.clone(), _place: place };
        let stream = pieces.map(move |piece| {
            let _ = &held;
            piece
        });
        Reply { body: Body::Stream(Box::pin(stream)), ..text("") }
    }
}

/// What a stream holds on to.
struct Held {
    seen: Arc<Log>,
    _place: Place,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seen.add(Seen::StreamDropped);
    }
}

fn text(text: impl Into<Bytes>) -> Reply {
    Reply::with_type(HeaderValue::from_static("text/plain"), text.into())
}

fn with_headers(headers: &[(&str, &str)]) -> Result<Reply, HandlerError> {
    let mut reply = text("hello");
    for (name, value) in headers {
        reply.append_header(name.as_bytes(), value.as_bytes())?;
    }
    Ok(reply)
}

fn spy(call: &Invocation) -> String {
    let mut lines = vec![
        format!("method {}", call.method),
        format!("uri {}", call.uri),
        format!("body {}", String::from_utf8_lossy(call.body.bytes())),
        format!("json {}", call.data_kind() == DataKind::Json),
        format!("request-id {}", call.ids.request_id.as_str()),
        format!("trace {}", call.ids.trace),
        format!("event-id {}", String::from_utf8_lossy(call.event().id.unwrap_or_default())),
    ];
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        format!("header {name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    lines.extend(call.headers.iter().map(header));
    lines.join("\n") + "\n"
}
