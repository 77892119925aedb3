//! A client that knows of every request whether it was sent and whether it was answered.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::{
    server::Target,
    spec::{Body, Expect},
};

/// A runtime on this thread.
pub(super) fn runtime() -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot make a runtime: {error}"))
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The server had closed the connection before anything was sent.
    NotSent,
    /// The request was sent.
    Lost(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent => f.write_str("the server closed the connection"),
            Self::Lost(error) => write!(f, "no answer: {error}"),
        }
    }
}

/// A connection for one request after another.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(super) async fn call(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Unanswered> {
        self.sender.ready().await.map_err(|_| Unanswered::NotSent)?;
        let lost = |error: hyper::Error| Unanswered::Lost(error.to_string());
        let answer = self.sender.send_request(request).await.map_err(|error| match error.is_canceled() {
            true => Unanswered::NotSent,
            false => lost(error),
        })?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(lost)?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// One request on a connection of its own.
pub(super) async fn call_once(target: &Target, path: &str, patience: Duration) -> Result<Answer, String> {
    let exchange = async {
        let mut connection = Connection::open(target.address).await?;
        connection.call(target.request(path)).await.map_err(|unanswered| unanswered.to_string())
    };
    timeout(patience, exchange).await.map_err(|_| format!("no answer within {patience:?}"))?
}

/// A request to a server of this address.
pub(super) fn request(address: SocketAddr, path: &str, payload: Option<&Payload>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    if let Ok(host) = address.to_string().parse() {
        headers.insert(header::HOST, host);
    }
    if let Some(payload) = payload {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(payload.media_type));
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(payload.bytes.clone());
    }
    request
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
}

impl From<Body> for Payload {
    fn from(body: Body) -> Self {
        match body {
            Body::Json(length) => Self { media_type: "application/json", bytes: json(length).into() },
            Body::Bytes(length) => {
                Self { media_type: "application/octet-stream", bytes: vec![b'x'; length].into() }
            }
        }
    }
}

/// A document of exactly so many bytes, if that is enough for the least that one can be: records, and what is left over
/// as a text.
fn json(length: usize) -> String {
    const RECORD: &str =
        r#"{"id":1815,"name":"Ada Lovelace","tags":["mathematician","writer"],"known":true,"score":9.5}"#;
    let frame = r#"{"records":[],"rest":""}"#.len();
    let records = length.saturating_sub(frame + 1) / (RECORD.len() + 1);
    let text = vec![RECORD; records].join(",");
    let rest = "x".repeat(length.saturating_sub(frame + text.len()));
    format!(r#"{{"records":[{text}],"rest":"{rest}"}}"#)
}

/// What is wrong with an answer; nothing if it is as it should be.
pub(super) fn wrong(answer: &Answer, expect: &Expect, payload: Option<&Payload>) -> Option<String> {
    let Answer { status, body, .. } = answer;
    if *status != expect.status {
        return Some(format!("status {}, expected: {}: {}", status.as_u16(), expect.status, shown(body)));
    }
    if let Some(text) = &expect.text
        && body != text.as_bytes()
    {
        return Some(format!("answer {}, expected: \"{text}\"", shown(body)));
    }
    if let Some(length) = expect.length
        && body.len() != length
    {
        return Some(format!("an answer of {} bytes, expected: {length}", body.len()));
    }
    let sent = payload.filter(|_| expect.body)?;
    let same = match sent.media_type {
        "application/json" => {
            let parsed = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
            parsed(&sent.bytes).is_some_and(|sent| parsed(body).as_ref() == Some(&sent))
        }
        _ => *body == sent.bytes,
    };
    (!same).then(|| format!("answer {}, expected: what was sent", shown(body)))
}

fn shown(body: &[u8]) -> String {
    let start: String = String::from_utf8_lossy(body).chars().take(80).collect();
    format!("{start:?} ({} bytes)", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn documents_have_the_length_that_is_asked_for() {
        for length in [24, 100, 117, 118, 1024, 10240] {
            let document = json(length);
            assert_eq!(document.len(), length);
            assert!(serde_json::from_str::<serde_json::Value>(&document).is_ok(), "{document}");
        }
    }

    #[test]
    fn json_may_be_written_in_another_way_and_nothing_else_may() {
        let expect = Expect { body: true, ..Expect::default() };
        let json = Payload { media_type: "application/json", bytes: r#"{"a":1,"b":[2]}"#.into() };
        let bytes = Payload { media_type: "application/octet-stream", bytes: r#"{"a":1,"b":[2]}"#.into() };
        let other = answer(200, r#"{ "b": [2], "a": 1 }"#);
        assert_eq!(wrong(&other, &expect, Some(&json)), None);
        assert!(wrong(&other, &expect, Some(&bytes)).is_some());
        assert!(wrong(&answer(200, r#"{"a":1}"#), &expect, Some(&json)).is_some());
        assert!(wrong(&answer(200, "not JSON"), &expect, Some(&json)).is_some());
    }

    #[test]
    fn an_answer_that_differs_is_told_with_what_was_expected() {
        let expect = Expect { text: Some("hello".to_owned()), ..Expect::default() };
        assert_eq!(wrong(&answer(200, "hello"), &expect, None), None);
        let told = wrong(&answer(200, "hell"), &expect, None);
        assert_eq!(told.as_deref(), Some(r#"answer "hell" (4 bytes), expected: "hello""#));
        let told = wrong(&answer(500, ""), &expect, None);
        assert_eq!(told.as_deref(), Some(r#"status 500, expected: 200: "" (0 bytes)"#));
        let expect = Expect { length: Some(3), ..Expect::default() };
        assert!(wrong(&answer(200, "hell"), &expect, None).is_some());
    }
}
