//! HTTP/2 with prior knowledge, on the port that also speaks HTTP/1.1.

use std::{convert::Infallible, time::Duration};

use contract::{BodyError, CancelReason, Engine};
use futures_util::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::Seen;
use tokio::{io::AsyncWriteExt, sync::mpsc, task::JoinHandle, time::timeout};

use super::{TestHost, host, streaming};
use crate::lifecycle::Phase;

struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    ended: JoinHandle<hyper::Result<()>>,
}

async fn connect(host: &TestHost) -> Connection {
    let io = TokioIo::new(host.pipe(64 * 1024));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    Connection { sender, ended: tokio::spawn(connection) }
}

impl Connection {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> (http::response::Parts, String) {
        let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
        (head, String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap())
    }
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(format!("http://test{path}")).body(Full::new(body.into())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_are_served_and_refused_as_with_http_1() {
    let host = host(&[]);
    let mut connection = connect(&host).await;
    let (head, body) = connection.send(request("POST", "/echo", "some data")).await;
    assert_eq!((head.status.as_u16(), body.as_str()), (200, "some data"));
    assert_eq!(head.headers["access-control-allow-origin"], "*");
    assert_eq!(connection.send(request("GET", "/healthz", "")).await.1, "OK");
    let (head, _) = connection.send(request("POST", "/echo", vec![b'a'; 1_048_577])).await;
    assert_eq!((head.status.as_u16(), head.headers.get("connection")), (413, None));
    let large =
        Request::builder().uri("http://test/").header("x", "a".repeat(70_000)).body(Full::default()).unwrap();
    assert_eq!(connect(&host).await.send(large).await.0.status, 431);
    assert_eq!(connect(&host).await.send(request("GET", "/", "")).await.1, "hello");
}

#[tokio::test(start_paused = true)]
async fn the_function_sees_a_request_as_with_http_1() {
    let host = host(&[]);
    let crumbs = Request::get("http://test/spy").header("cookie", "a=1").header("cookie", "b=2; c=3");
    let (_, spied) = connect(&host).await.send(crumbs.body(Full::default()).unwrap()).await;
    for header in ["header cookie: a=1; b=2; c=3\n", "header host: test\n"] {
        assert!(spied.contains(header), "{spied}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_must_not_have_a_body_have_none() {
    let host = host(&[]);
    let mut connection = connect(&host).await;
    let (head, body) = connection.send(request("HEAD", "/", "")).await;
    assert_eq!(
        (head.status.as_u16(), head.headers["content-length"].to_str().unwrap(), body.as_str()),
        (200, "5", "")
    );
    for (method, path, status) in [
        ("GET", "/status/204", 204),
        ("GET", "/status/304", 304),
        ("HEAD", "/stream/3", 200),
        ("HEAD", "/healthz", 200),
    ] {
        let (head, body) = connection.send(request(method, path, "")).await;
        assert_eq!((head.status.as_u16(), body.as_str()), (status, ""), "{method} {path}");
    }
    assert_eq!(connection.send(request("GET", "/", "")).await.1, "hello");
}

/// A body that is sent as the test goes on.
fn growing() -> (mpsc::UnboundedSender<Bytes>, UnsyncBoxBody<Bytes, Infallible>) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let pieces = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync())
}

#[tokio::test(start_paused = true)]
async fn bodies_are_streamed_both_ways() {
    let host = streaming(&[("REQ_MB_LIMIT", "100")]);
    let io = TokioIo::new(host.pipe(64 * 1024));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _connection = tokio::spawn(connection);
    let (pieces, body) = growing();
    let request = |path: &str, body| Request::post(format!("http://test{path}")).body(body).unwrap();
    let answer = sender.send_request(request("/echo", body)).await.unwrap();
    let mut answer = answer.into_body();
    for piece in ["one", "two"] {
        pieces.send(piece.into()).unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(pieces);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "");

    // A function that reads nothing stops this request, and no other on the connection.
    let (pieces, body) = growing();
    for _ in 0..100 {
        pieces.send(vec![b'a'; 100_000].into()).unwrap();
    }
    let mut late = sender.clone();
    let unread = tokio::spawn(late.send_request(request("/read-later", body)));
    host.engine.until(&Seen::Called("/read-later".to_owned())).await;
    let (others, body) = growing();
    others.send(vec![b'a'; 200_000].into()).unwrap();
    drop(others);
    let other = timeout(Duration::from_secs(1), sender.send_request(request("/read", body))).await;
    let other = other.expect("its upload is not stopped").unwrap().into_body();
    assert_eq!(other.collect().await.unwrap().to_bytes(), "read 200000");
    drop(pieces);
    host.engine.release();
    assert_eq!(
        unread.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes(),
        "read 10000000"
    );

    // A stream that is reset has lost its client.
    let (pieces, body) = growing();
    let reset = tokio::spawn(sender.send_request(request("/read-and-hang", body)));
    pieces.send("abcde".into()).unwrap();
    host.engine.until(&Seen::Piece(5)).await;
    reset.abort();
    host.engine.until(&Seen::BodyFailed(BodyError::Gone)).await;
    host.engine.until(&Seen::Cancelled(CancelReason::ClientGone)).await;
}

/// A client that gives up need not call that an error, and a part of a body is no body all the same.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_without_an_error_is_not_complete() {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // POST http://x/read, from the static table where it has the field and else literally.
    let head = frame(1, 4, 1, b"\x83\x86\x01\x01x\x04\x05/read");
    let begin =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, b"")[..], &head, &frame(0, 0, 1, b"abc")];
    let reset = frame(3, 0, 1, &[0; 4]);
    for host in [host(&[]), streaming(&[])] {
        let mut pipe = host.pipe(1024);
        pipe.write_all(&begin.concat()).await.unwrap();
        pipe.write_all(&reset).await.unwrap();
        host.until_metric("funchost_rejected_total{reason=\"malformed\"}", 1.0).await;
        if host.engine.streams_requests() {
            host.engine.until(&Seen::BodyFailed(BodyError::Gone)).await;
        } else {
            assert_eq!(host.engine.seen(), [], "the function is not called");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_the_limit_is_refused() {
    let host = streaming(&[]);
    let io = TokioIo::new(host.pipe(64 * 1024));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _connection = tokio::spawn(connection);
    let (pieces, body) = growing();
    for _ in 0..11 {
        pieces.send(vec![b'a'; 100_000].into()).unwrap();
    }
    let answer = sender.send_request(Request::post("http://test/read").body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 413);
}

/// A client whose window is closed takes nothing of an answer, and keeps the connection alive all the same.
#[tokio::test(start_paused = true)]
async fn a_closed_window_outlives_neither_the_deadline_nor_the_patience() {
    let host = host(&[("FUNC_TIMEOUT", "3"), ("FUNC_BODY_TIMEOUT", "30")]);
    let io = TokioIo::new(host.pipe(64 * 1024));
    let (mut sender, connection) =
        http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(0).handshake(io).await.unwrap();
    let ended = tokio::spawn(connection);
    let before = tokio::time::Instant::now();
    let answer = sender.send_request(request("GET", "/stream-hang", "")).await.unwrap();
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(before.elapsed().as_secs_f64().round(), 3.0);
    let _ = ended.await;
    assert!((30..=70).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn the_preface_may_come_in_pieces() {
    let host = host(&[("FUNC_HEADER_TIMEOUT", "1")]);
    let mut pipe = host.pipe(1024);
    for piece in ["PRI * ", "HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0\x04\0\0\0\0\0"] {
        pipe.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(host.metric("funchost_connections"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_a_connection() {
    let host = host(&[]);
    let connection = connect(&host).await;
    let before = tokio::time::Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let mut sender = connection.sender.clone();
            tokio::spawn(async move {
                sender.send_request(request("GET", "/sleep/1000", "")).await.unwrap().status()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_stream_cancels_its_call_and_no_other() {
    let host = host(&[]);
    let mut connection = connect(&host).await;
    let hanging = tokio::spawn(connection.sender.send_request(request("GET", "/hang", "")));
    host.engine.until(&Seen::Called("/hang".to_owned())).await;
    hanging.abort();
    host.engine.until(&Seen::Cancelled(CancelReason::ClientGone)).await;
    assert_eq!(connection.send(request("GET", "/", "")).await.1, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_closing_host_says_goaway_and_finishes_what_runs() {
    let host = host(&[]);
    let mut connection = connect(&host).await;
    let running = tokio::spawn(connection.sender.send_request(request("GET", "/sleep/5000", "")));
    host.engine.until(&Seen::Called("/sleep/5000".to_owned())).await;
    host.app.lifecycle.advance(Phase::Closing);
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    assert!(connection.ended.await.unwrap().is_ok());
    assert!(connection.sender.ready().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed_after_the_idle_time() {
    let host = host(&[("FUNC_IDLE_TIMEOUT", "75"), ("FUNC_HEADER_TIMEOUT", "1")]);
    let before = tokio::time::Instant::now();
    let connection = connect(&host).await;
    drop(connection.ended.await);
    assert!((74..=76).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(host.metric("funchost_connections"), Some(0.0));
}
