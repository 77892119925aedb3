//! Bodies that the function reads while they are sent.

use std::time::Duration;

use contract::{BodyError, CancelReason};
use testkit::Seen;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep, timeout},
};

use super::{TestHost, client::Client, limits::gzip, loading, streaming};

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

const LAST: &str = "0\r\n\r\n";

/// Reads the head of a streamed answer.
async fn begun(client: &mut Client) {
    let head = client.head().await.unwrap();
    assert!(head.contains("200 OK") && head.contains("transfer-encoding: chunked"), "{head}");
}

fn rejected(host: &TestHost, reason: &str) -> f64 {
    host.metric(&format!("funchost_rejected_total{{reason=\"{reason}\"}}")).unwrap()
}

/// Calls and failures so far.
fn calls(host: &TestHost) -> (f64, f64) {
    let of = |name: &str| host.metric(&format!("{name}{{method=\"POST\"}}")).unwrap_or(0.0);
    (of("function_calls_total"), of("function_failures_total"))
}

#[tokio::test(start_paused = true)]
async fn the_function_has_a_piece_before_the_next_is_sent() {
    let host = streaming(&[]);
    let mut client = host.connect();
    client.send(chunked("/respond")).await;
    client.send(chunk("a")).await;
    begun(&mut client).await;
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"1\n");
    for size in [2, 3, 40_000] {
        client.send(chunk(vec![b'a'; size])).await;
        let mut answered = 0;
        while answered < size {
            let line = String::from_utf8(client.chunk().await.unwrap().unwrap()).unwrap();
            answered += line.trim().parse::<usize>().unwrap();
        }
    }
    client.send(LAST).await;
    assert_eq!(client.chunk().await.unwrap(), None);
    assert_eq!(client.get("/").await.body, "hello");
    assert_eq!(calls(&host), (1.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn the_headers_say_only_what_is_true_of_a_stream() {
    let host = streaming(&[]);
    let mut client = host.connect();
    client.send(chunked("/spy")).await;
    client.send([&chunk("a")[..], LAST.as_bytes()].concat()).await;
    let spied = client.answer("POST").await.body;
    assert!(!spied.contains("transfer-encoding") && !spied.contains("content-length"), "{spied}");
    let spied = host.connect().post("/spy", "", "abc").await.body;
    assert!(spied.contains("header content-length: 3\n"), "{spied}");
    let spied = host.connect().post("/spy", "Content-Encoding: gzip\r\n", gzip(b"abc")).await.body;
    assert!(!spied.contains("content-encoding") && !spied.contains("content-length"), "{spied}");
}

#[tokio::test(start_paused = true)]
async fn an_announced_body_over_the_limit_is_refused_before_the_call() {
    let host = streaming(&[]);
    let refused = host.connect().post("/read", "", vec![b'a'; 1_048_577]).await;
    assert_eq!((refused.status, rejected(&host, "body_too_large"), calls(&host)), (413, 1.0, (0.0, 0.0)));
    assert_eq!(host.engine.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_answered_413_whatever_the_function_makes_of_it() {
    for path in ["/read", "/read-anyway"] {
        let host = streaming(&[]);
        let mut client = host.connect();
        client.send(chunked(path)).await;
        for _ in 0..17 {
            client.send(chunk(vec![b'a'; 65_536])).await;
        }
        let answer = client.answer("POST").await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(answer.body.starts_with("the request body has more than 1048576 bytes"), "{}", answer.body);
        assert_eq!(answer.header("connection").unwrap(), "close");
        assert!(client.is_closed().await);
        let failure = BodyError::TooLarge { declared: None, limit: 1_048_576 };
        host.engine.until(&Seen::BodyFailed(failure)).await;
        assert_eq!((rejected(&host, "body_too_large"), calls(&host)), (1.0, (1.0, 0.0)));
        host.until_metric("funchost_calls_in_flight", 0.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn exactly_the_limit_is_taken() {
    let host = streaming(&[]);
    let mut client = host.connect();
    client.send(chunked("/read")).await;
    client.send([chunk(vec![b'a'; 1_048_576]), LAST.into()].concat()).await;
    assert_eq!(client.answer("POST").await.body, "read 1048576");
    assert_eq!(client.post("/read", "", vec![b'a'; 1_048_576]).await.body, "read 1048576");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_has_begun_is_cut_off_when_the_body_fails() {
    let host = streaming(&[("FUNC_MEMFILE_MAX", "10"), ("FUNC_BODY_TIMEOUT", "30")]);
    let (mut large, mut stalled, mut broken) = (host.connect(), host.connect(), host.connect());
    for client in [&mut large, &mut stalled, &mut broken] {
        client.send(chunked("/respond")).await;
        client.send(chunk("a")).await;
        begun(client).await;
        assert_eq!(client.chunk().await.unwrap().unwrap(), b"1\n");
    }
    large.send(chunk("0123456789")).await;
    assert_eq!(large.chunk().await, None, "cut off");
    broken.send("no chunk\r\n").await;
    assert_eq!(broken.chunk().await, None, "cut off");
    let before = Instant::now();
    assert_eq!(stalled.chunk().await, None, "cut off");
    assert_eq!(before.elapsed().as_secs(), 30);
    let reasons = ["body_too_large", "slow_client", "malformed"].map(|reason| rejected(&host, reason));
    assert_eq!((reasons, calls(&host)), ([1.0; 3], (3.0, 0.0)));
    host.until_metric("funchost_calls_in_flight", 0.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_answered_408_and_holds_its_place_until_then() {
    let host = streaming(&[("FUNC_BODY_TIMEOUT", "30"), ("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "0")]);
    let mut slow = host.connect();
    let before = Instant::now();
    slow.send("POST /read HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nabc").await;
    host.engine.until(&Seen::Piece(3)).await;
    assert_eq!(host.connect().get("/").await.status, 503);
    let answer = slow.answer("POST").await;
    assert_eq!((answer.status, before.elapsed().as_secs()), (408, 30));
    assert_eq!(answer.body, "nothing of the request body came for 30 s (FUNC_BODY_TIMEOUT)\n");
    assert!(slow.is_closed().await);
    assert_eq!((rejected(&host, "slow_client"), calls(&host)), (1.0, (1.0, 0.0)));
    assert_eq!(host.connect().get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_asked_for_more_does_not_stall() {
    let host = streaming(&[("FUNC_BODY_TIMEOUT", "30")]);
    let mut client = host.connect();
    client.send("POST /read-later HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc").await;
    sleep(Duration::from_secs(100)).await;
    host.engine.release();
    host.engine.until(&Seen::Piece(3)).await;
    sleep(Duration::from_secs(20)).await;
    client.send("def").await;
    assert_eq!(client.answer("POST").await.body, "read 6");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_does_not_read_stops_its_client() {
    let host = streaming(&[("REQ_MB_LIMIT", "100")]);
    let mut pipe = host.pipe(1024);
    let head = "POST /read-later HTTP/1.1\r\nHost: test\r\nContent-Length: 50000000\r\n\r\n";
    pipe.write_all(head.as_bytes()).await.unwrap();
    let body = vec![b'a'; 50_000_000];
    let mut sent = 0;
    // Until everybody waits: then the clock goes on.
    while let Ok(taken) = timeout(Duration::from_secs(60), pipe.write(&body[sent..])).await {
        sent += taken.unwrap();
    }
    assert!(sent < 1_000_000, "{sent} bytes were taken");
    host.engine.release();
    let mut client = Client::new(pipe);
    client.send(&body[sent..]).await;
    assert_eq!(client.answer("POST").await.body, "read 50000000");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_bounded_by_the_deadline_and_the_function_is_not_to_blame() {
    for path in ["/read", "/read-anyway", "/respond"] {
        let host = streaming(&[("FUNC_TIMEOUT", "5"), ("FUNC_BODY_TIMEOUT", "3")]);
        let mut slow = host.connect();
        slow.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n")).await;
        for _ in 0..4 {
            slow.send("a").await;
            sleep(Duration::from_secs(1)).await;
        }
        if path == "/respond" {
            assert!(slow.try_answer("POST").await.is_none(), "cut off");
        } else {
            let answer = slow.answer("POST").await;
            let expected = (408, "the request body did not come within 5 s (FUNC_TIMEOUT)\n");
            assert_eq!((answer.status, answer.body.as_str()), expected, "{path}");
            host.engine.until(&Seen::BodyFailed(BodyError::Late(Duration::from_secs(5)))).await;
        }
        assert!(slow.is_closed().await);
        host.until_metric("funchost_calls_in_flight", 0.0).await;
        assert_eq!((rejected(&host, "slow_client"), calls(&host)), (1.0, (1.0, 0.0)), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_lets_the_deadline_pass_without_reading_is_to_blame() {
    let host = streaming(&[("FUNC_TIMEOUT", "3")]);
    let mut client = host.connect();
    client.send("POST /hang HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nabc").await;
    let answer = client.answer("POST").await;
    assert_eq!(answer.status, 408);
    assert!(answer.body.starts_with("Timeout exceeded"), "{}", answer.body);
    assert!(client.is_closed().await, "the rest of the body is in the way of the next request");
    assert_eq!((rejected(&host, "slow_client"), calls(&host)), (0.0, (1.0, 1.0)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_middle_of_its_body_cancels_the_call() {
    for (length, body) in [("Content-Length: 100", "abcde"), ("Transfer-Encoding: chunked", "5\r\nabcde\r\n")]
    {
        let host = streaming(&[]);
        let mut client = host.connect();
        client.send(format!("POST /read-and-hang HTTP/1.1\r\nHost: test\r\n{length}\r\n\r\n{body}")).await;
        host.engine.until(&Seen::Piece(5)).await;
        drop(client);
        host.engine.until(&Seen::BodyFailed(BodyError::Gone)).await;
        host.engine.until(&Seen::Cancelled(CancelReason::ClientGone)).await;
        host.until_metric("funchost_calls_in_flight", 0.0).await;
        assert_eq!(calls(&host), (1.0, 0.0));
        assert_eq!(host.metric("funchost_cancelled_total{reason=\"client_gone\"}"), Some(1.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_is_answered_cancels_the_call() {
    let host = streaming(&[]);
    let mut client = host.connect();
    client.send(chunked("/respond")).await;
    client.send(chunk("a")).await;
    begun(&mut client).await;
    drop(client);
    host.engine.until(&Seen::StreamDropped).await;
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(calls(&host), (1.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dropped_does_not_end_the_body_as_if_it_were_whole() {
    let host = streaming(&[("FUNC_TIMEOUT", "3600"), ("SHUTDOWN_TIMEOUT", "1")]);
    let mut client = host.connect();
    client.send(chunked("/read-and-hang")).await;
    client.send(chunk("abc")).await;
    host.engine.until(&Seen::Piece(3)).await;
    host.app.lifecycle.advance(crate::lifecycle::Phase::Closing);
    host.app.lifecycle.advance(crate::lifecycle::Phase::Aborting);
    host.engine.until(&Seen::BodyFailed(BodyError::Gone)).await;
    host.engine.until(&Seen::Cancelled(CancelReason::Shutdown)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_need_not_wait_for_the_body() {
    let host = streaming(&[("REQ_MB_LIMIT", "100")]);
    let mut client = host.connect();
    // What has come already is read away; the connection goes on.
    assert_eq!(client.post("/", "", "a small body").await.body, "hello");
    assert_eq!(client.get("/").await.body, "hello");
    // A client that goes on sending gets its answer all the same.
    let mut client = host.connect_with_buffer(1024);
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 90000000\r\n\r\n").await;
    for _ in 0..1000 {
        client.send([b'a'; 1000]).await;
    }
    let answer = client.answer("POST").await;
    assert_eq!((answer.body.as_str(), answer.header("connection").unwrap().as_str()), ("hello", "close"));
    assert!(client.is_closed().await);
    // Part of it may have been read.
    let mut client = host.connect();
    client.send("POST /read/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 90000000\r\n\r\nabc").await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.body.as_str(), answer.header("connection").unwrap().as_str()), ("read 3", "close"));
    assert!(client.is_closed().await);
    // A streamed answer ends, and then the connection, because the body does not.
    let mut client = host.connect();
    client.send(chunked("/respond/1")).await;
    client.send(chunk("abc")).await;
    assert_eq!(client.answer("POST").await.body, "3\n");
    client.send(chunk("def")).await;
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_not_read_does_not_delay_the_end_of_an_idle_connection() {
    let host = streaming(&[]);
    let mut client = host.connect();
    assert_eq!(client.post("/", "", "a small body").await.body, "hello");
    let before = Instant::now();
    host.app.lifecycle.advance(crate::lifecycle::Phase::Closing);
    host.until_metric("funchost_connections", 0.0).await;
    assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_first_is_told_to_go_on_when_the_function_reads() {
    let host = streaming(&[]);
    let ask = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = host.connect();
    client.send(ask("/read-later")).await;
    let early = timeout(Duration::from_secs(100), client.head()).await;
    assert!(early.is_err(), "{early:?}");
    host.engine.release();
    assert_eq!(client.answer("POST").await.status, 100);
    client.send("abc").await;
    assert_eq!(client.answer("POST").await.body, "read 3");
    assert_eq!(client.request(&ask("/")).await.body, "hello");
    assert!(client.is_closed().await, "nobody can tell whether the body comes");
}

#[tokio::test(start_paused = true)]
async fn early_calls_wait_for_the_function_and_then_stream() {
    let host = TestHost { engine: testkit::FakeEngine::that_streams_requests(), ..loading(&[]) };
    let mut client = host.connect();
    client.send(chunked("/respond")).await;
    client.send(chunk("abc")).await;
    host.until_metric("funchost_queue_length", 1.0).await;
    host.load();
    begun(&mut client).await;
    assert_eq!(client.chunk().await.unwrap().unwrap(), b"3\n");
    client.send(LAST).await;
    assert_eq!(client.chunk().await.unwrap(), None);
}
