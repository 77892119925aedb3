//! Deadlines, cancellation, places and streams.

use std::time::Duration;

use contract::CancelReason;
use testkit::Seen;
use tokio::time::Instant;

use super::host;
use crate::lifecycle::Phase;

const HANG: &str = "GET /hang HTTP/1.1\r\nHost: test\r\n\r\n";
const STUBBORN: &str = "GET /stubborn HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_client_gets_408_and_the_engine_is_told() {
    let host = host(&[("FUNC_TIMEOUT", "3")]);
    let mut client = host.connect();
    let before = Instant::now();
    let answer = client.request(HANG).await;
    assert_eq!(before.elapsed().as_millis() / 10, 300);
    assert_eq!(answer.status, 408);
    assert!(
        answer.body.starts_with("Timeout exceeded: the function did not finish within 3 s"),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*");
    host.engine.until(&Seen::Cancelled(CancelReason::Deadline)).await;
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(1.0));
    assert_eq!(host.metric("funchost_cancelled_total{reason=\"deadline\"}"), Some(1.0));
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(client.get("/").await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_arrival_so_a_slow_body_leaves_less_for_the_function() {
    let host = host(&[("FUNC_TIMEOUT", "3")]);
    let mut client = host.connect();
    let before = Instant::now();
    client.send("POST /hang HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\na").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.send("b").await;
    assert_eq!(client.answer("POST").await.status, 408);
    assert_eq!(before.elapsed().as_millis() / 10, 300);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_its_call() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send(HANG).await;
    host.engine.until(&Seen::Called("/hang".to_owned())).await;
    drop(client);
    host.engine.until(&Seen::Cancelled(CancelReason::ClientGone)).await;
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(host.metric("function_calls_total{method=\"GET\"}"), Some(1.0));
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_when_the_engine_is_done_and_not_when_the_client_is_answered() {
    let host = host(&[("FUNC_TIMEOUT", "1"), ("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "0")]);
    assert_eq!(host.connect().request(STUBBORN).await.status, 408);
    assert_eq!(host.connect().get("/").await.status, 503);
    assert_eq!(host.metric("funchost_calls_in_flight"), Some(1.0));
    host.engine.release();
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(host.connect().get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn stuck_calls_are_counted_fail_readiness_and_at_last_health() {
    let host = host(&[("FUNC_TIMEOUT", "1"), ("FUNC_CONCURRENCY", "4")]);
    let mut probe = host.connect();
    for stuck in 1..=4 {
        assert_eq!(host.connect().request(STUBBORN).await.status, 408);
        host.until_metric("funchost_calls_stuck", f64::from(stuck)).await;
        let expected = (if stuck < 4 { 200 } else { 503 }, if stuck < 2 { 200 } else { 503 });
        let seen = (probe.get("/healthz").await.status, probe.get("/readyz").await.status);
        assert_eq!(seen, expected, "with {stuck} of 4 calls stuck");
    }
    for _ in 0..4 {
        host.engine.release();
        tokio::task::yield_now().await;
    }
    host.until_metric("funchost_calls_stuck", 0.0).await;
    assert_eq!(probe.get("/readyz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_queue_there_is_503_with_retry_after() {
    let host = host(&[("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "1"), ("FUNC_QUEUE_WAIT", "2")]);
    let (mut running, mut waiting) = (host.connect(), host.connect());
    running.send("GET /sleep/5000 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_calls_in_flight", 1.0).await;
    waiting.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_queue_length", 1.0).await;
    let refused = host.connect().get("/").await;
    assert_eq!((refused.status, refused.header("retry-after").unwrap().as_str()), (503, "1"));
    assert!(refused.body.contains("1 calls wait already"), "{}", refused.body);
    assert_eq!(waiting.answer("GET").await.status, 503);
    assert_eq!(running.answer("GET").await.status, 200);
    assert_eq!(host.metric("funchost_rejected_total{reason=\"queue_full\"}"), Some(1.0));
    assert_eq!(host.metric("funchost_rejected_total{reason=\"queue_wait\"}"), Some(1.0));
    assert_eq!(host.metric("funchost_queue_wait_seconds_count"), Some(1.0));
    assert_eq!(host.metric("function_calls_total{method=\"GET\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_sent_piece_by_piece() {
    let host = host(&[]);
    let mut client = host.connect();
    let answer = client.get("/stream/3").await;
    assert_eq!(answer.header("transfer-encoding").unwrap(), "chunked");
    assert_eq!(answer.body, "piece 0\npiece 1\npiece 2\n");
    assert_eq!(client.get("/").await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_off_at_the_deadline() {
    let host = host(&[("FUNC_TIMEOUT", "3")]);
    let mut client = host.connect();
    let before = Instant::now();
    client.send("GET /stream-hang HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(client.try_answer("GET").await.is_none(), "a body without its end is no answer");
    assert_eq!(before.elapsed().as_millis() / 10, 300);
    host.engine.until(&Seen::StreamDropped).await;
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(1.0));
    assert_eq!(host.metric("funchost_cancelled_total{reason=\"deadline\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn neither_a_quick_stream_nor_a_client_that_takes_nothing_outlives_the_deadline() {
    let host = host(&[("FUNC_TIMEOUT", "3"), ("FUNC_BODY_TIMEOUT", "3600"), ("FUNC_CONCURRENCY", "1")]);
    let mut idle = host.connect_with_buffer(1024);
    idle.send("GET /stream/1000000000 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_calls_in_flight", 1.0).await;
    let before = Instant::now();
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(before.elapsed().as_secs_f64().round(), 3.0);
    assert_eq!(host.metric("funchost_cancelled_total{reason=\"deadline\"}"), Some(1.0));
    assert_eq!(host.connect().get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_panics_in_a_stream_costs_that_stream() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("GET /stream-panic HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(client.try_answer("GET").await.is_none());
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(1.0));
    drop(client);
    host.until_metric("funchost_connections", 0.0).await;
    assert_eq!(host.connect().get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn head_of_a_stream_ends_it_and_nobody_is_to_blame() {
    let host = host(&[]);
    let mut client = host.connect();
    let answer = client.request("HEAD /stream-hang HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(host.metric("funchost_cancelled_total{reason=\"client_gone\"}"), Some(0.0));
    assert_eq!(client.get("/").await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_says_it_will_send_no_more_is_answered() {
    let host = host(&[]);
    for path in ["/", "/sleep/200"] {
        let mut client = host.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        client.finish().await;
        assert!(client.try_answer("GET").await.is_some_and(|answer| answer.status == 200), "{path}");
    }
    let mut client = host.connect();
    client.send(HANG).await;
    client.finish().await;
    host.engine.until(&Seen::Cancelled(CancelReason::ClientGone)).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_call_took_is_measured() {
    let host = host(&[]);
    host.connect().get("/sleep/2000").await;
    assert_eq!(host.metric("function_duration_seconds_sum{method=\"GET\"}").map(f64::round), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_is_told_when_the_process_gives_up() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send(HANG).await;
    host.engine.until(&Seen::Called("/hang".to_owned())).await;
    host.app.lifecycle.advance(Phase::Closing);
    host.app.lifecycle.advance(Phase::Aborting);
    host.engine.until(&Seen::Cancelled(CancelReason::Shutdown)).await;
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_half_way_is_cut_off() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("GET /stream-fail HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(client.try_answer("GET").await.is_none());
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_stream_ends_it() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("GET /stream-hang HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.engine.until(&Seen::Called("/stream-hang".to_owned())).await;
    drop(client);
    host.engine.until(&Seen::StreamDropped).await;
    host.until_metric("funchost_calls_in_flight", 0.0).await;
    assert_eq!(host.metric("funchost_cancelled_total{reason=\"client_gone\"}"), Some(1.0));
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(0.0));
}
