//! Clients that take their time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::host;

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_given_up_however_it_drips() {
    let host = host(&[("FUNC_HEADER_TIMEOUT", "10")]);
    let (mut silent, mut dripping) = (host.connect(), host.connect());
    let before = Instant::now();
    silent.send("GET / HT").await;
    let drip = async {
        for byte in "GET / HTTP/1.1\r\nHost: test\r\nX: aaaaaaaaaaaaaaaaa".as_bytes() {
            dripping.send([*byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert!(dripping.is_closed().await);
    };
    let closed = async {
        assert!(silent.is_closed().await);
        assert_eq!(before.elapsed().as_secs(), 10);
    };
    tokio::join!(drip, closed);
    assert_eq!(host.metric("funchost_rejected_total{reason=\"slow_client\"}"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_the_idle_time() {
    let host = host(&[("FUNC_IDLE_TIMEOUT", "75"), ("FUNC_HEADER_TIMEOUT", "10")]);
    let (mut fresh, mut used) = (host.connect(), host.connect());
    assert_eq!(used.get("/").await.status, 200);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(used.get("/").await.status, 200);
    let before = Instant::now();
    assert!(fresh.is_closed().await);
    assert_eq!(before.elapsed().as_secs(), 15);
    assert!(used.is_closed().await);
    assert_eq!(before.elapsed().as_secs(), 75);
    assert_eq!(host.metric("funchost_rejected_total{reason=\"slow_client\"}"), Some(0.0));
    host.until_metric("funchost_connections", 0.0).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_time_shorter_than_the_others_is_kept() {
    let host =
        host(&[("FUNC_IDLE_TIMEOUT", "1"), ("FUNC_HEADER_TIMEOUT", "10"), ("FUNC_BODY_TIMEOUT", "30")]);
    let mut fresh = host.connect();
    let before = Instant::now();
    assert!(fresh.is_closed().await);
    assert_eq!(before.elapsed().as_secs(), 1);
    let mut used = host.connect();
    assert_eq!(used.get("/").await.status, 200);
    let before = Instant::now();
    assert!(used.is_closed().await);
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_answered_408_and_takes_no_place() {
    let host = host(&[("FUNC_BODY_TIMEOUT", "30"), ("FUNC_CONCURRENCY", "1"), ("FUNC_QUEUE", "0")]);
    let mut slow = host.connect();
    let before = Instant::now();
    slow.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nabc").await;
    assert_eq!(host.connect().get("/").await.status, 200);
    let answer = slow.answer("POST").await;
    assert_eq!((answer.status, before.elapsed().as_secs()), (408, 30));
    assert_eq!(answer.body, "nothing of the request body came for 30 s (FUNC_BODY_TIMEOUT)\n");
    assert!(slow.is_closed().await);
    assert_eq!(host.metric("funchost_rejected_total{reason=\"slow_client\"}"), Some(1.0));
    assert_eq!(host.metric("function_calls_total{method=\"POST\"}"), None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_bounded_by_the_deadline() {
    let host = host(&[("FUNC_TIMEOUT", "5"), ("FUNC_BODY_TIMEOUT", "3")]);
    let mut slow = host.connect();
    slow.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n").await;
    for _ in 0..4 {
        slow.send("a").await;
        sleep(Duration::from_secs(1)).await;
    }
    let answer = slow.answer("POST").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (408, "the request body did not come within 5 s (FUNC_TIMEOUT)\n")
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_answer_is_given_up() {
    let host = host(&[("FUNC_BODY_TIMEOUT", "30"), ("FUNC_TIMEOUT", "3600")]);
    let mut client = host.connect_with_buffer(1024);
    client.send("GET /stream/1000000 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_connections", 1.0).await;
    let before = Instant::now();
    host.until_metric("funchost_connections", 0.0).await;
    let waited = before.elapsed().as_secs();
    assert!((30..=60).contains(&waited), "{waited} s");
    assert_eq!(host.metric("funchost_calls_in_flight"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_long_call_outlives_the_idle_time() {
    let host = host(&[("FUNC_IDLE_TIMEOUT", "1"), ("FUNC_HEADER_TIMEOUT", "1")]);
    assert_eq!(host.connect().get("/sleep/60000").await.body, "slept");
}
