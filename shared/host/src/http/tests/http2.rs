//! HTTP/2 with prior knowledge, on the port that also speaks HTTP/1.1.

use std::time::Duration;

use contract::CancelReason;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::Seen;
use tokio::task::JoinHandle;

use super::{TestHost, host};
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
    let many = Request::builder()
        .uri("http://test/")
        .header("x", "a".repeat(60_000))
        .header("y", "b".repeat(60_000));
    let refused =
        connection.sender.send_request(many.body(Full::default()).unwrap()).await.map(Response::into_parts);
    assert!(refused.is_err() || refused.is_ok_and(|(head, _)| head.status.as_u16() == 431));
    assert_eq!(connect(&host).await.send(request("GET", "/", "")).await.1, "hello");
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
