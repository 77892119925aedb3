//! Routes, CORS, errors, names and headers.

use std::{sync::Arc, time::Duration};

use testkit::{FakeEngine, Seen};

use super::{host, loading};
use crate::lifecycle::Phase;

#[tokio::test(start_paused = true)]
async fn get_and_head_of_the_host_paths_are_the_hosts() {
    let host = host(&[]);
    let mut client = host.connect();
    for (path, text) in [("/healthz", "OK"), ("/readyz", "OK")] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        let head = client.request(&format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("2".to_owned())), "{path}");
    }
    let metrics = client.get("/metrics").await;
    assert_eq!(metrics.header("content-type").unwrap(), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!metrics.body.contains("function_"), "{}", metrics.body);
    assert!(metrics.body.contains("funchost_build_info{"), "{}", metrics.body);
    assert_eq!(host.engine.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn every_other_method_and_path_is_the_functions() {
    let host = host(&[]);
    let mut client = host.connect();
    for (method, path) in [
        ("POST", "/healthz"),
        ("PUT", "/readyz"),
        ("DELETE", "/metrics"),
        ("GET", "/healthz/"),
        ("GET", "/spy"),
        ("PUT", "/spy"),
        ("PATCH", "/spy"),
        ("OPTIONS", "/spy"),
        ("TRACE", "/spy"),
        ("BREW", "/spy"),
        ("GET", "/a/b/c?d=e"),
    ] {
        let before = host.engine.seen().len();
        let answer = client
            .request(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"))
            .await;
        assert_eq!(answer.status, 200, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*", "{method} {path}");
        assert_eq!(host.engine.seen().len(), before + 1, "{method} {path}");
    }
    assert_eq!(host.metric("function_calls_total{method=\"GET\"}"), Some(3.0));
    assert_eq!(host.metric("function_calls_total{method=\"other\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn head_runs_the_function_and_drops_the_body() {
    let host = host(&[]);
    let mut client = host.connect();
    let answer = client.request("HEAD /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("3".to_owned())));
    assert_eq!(client.get("/").await.body, "hello");
    assert_eq!(host.metric("function_calls_total{method=\"HEAD\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_preflight_is_answered_with_what_was_asked_for() {
    let host = host(&[]);
    let preflight = "OPTIONS /any HTTP/1.1\r\nHost: test\r\nOrigin: http://a\r\n\
                     Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-one, x-two\r\n\r\n";
    let answer = host.connect().request(preflight).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*");
    assert_eq!(answer.header("access-control-allow-methods").unwrap(), "PUT");
    assert_eq!(answer.header("access-control-allow-headers").unwrap(), "x-one, x-two");
    assert_eq!(answer.body, "");
    assert_eq!(host.engine.seen(), []);
    assert_eq!(host.metric("function_calls_total{method=\"OPTIONS\"}"), None);
}

#[tokio::test(start_paused = true)]
async fn cors_can_be_switched_off_and_left_to_the_function() {
    let host = host(&[("FUNC_CORS", "off")]);
    let mut client = host.connect();
    let preflight = "OPTIONS /spy HTTP/1.1\r\nHost: test\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    assert!(client.request(preflight).await.body.starts_with("method OPTIONS"));
    assert_eq!(client.get("/").await.header("access-control-allow-origin"), None);
    let own = super::host(&[]).connect().get("/origin").await;
    assert_eq!(own.header("access-control-allow-origin").unwrap(), "https://example.com");
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_function_are_500_and_leak_nothing() {
    let host = host(&[]);
    let mut client = host.connect();
    for path in ["/fail", "/panic", "/bad-reply"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (500, "Internal Server Error\n"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*", "{path}");
    }
    assert_eq!(host.metric("function_failures_total{method=\"GET\"}"), Some(3.0));
    assert_eq!(host.metric("function_calls_total{method=\"GET\"}"), Some(3.0));
    assert_eq!(host.metric("funchost_calls_in_flight"), Some(0.0));
    assert_eq!(client.get("/").await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn error_detail_shows_the_message_but_not_the_stack() {
    let answer = host(&[("FUNC_ERROR_DETAIL", "on")]).connect().get("/fail").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Error: a secret\n"));
}

#[tokio::test(start_paused = true)]
async fn data_that_is_not_what_it_claims_is_400_and_no_call() {
    let host = host(&[]);
    let answer = host.connect().get("/bad-data").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "the request body is not valid JSON: line 1 column 1\n")
    );
    assert_eq!(host.metric("function_calls_total{method=\"GET\"}"), None);
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*");
    assert_eq!(host.metric("funchost_rejected_total{reason=\"bad_body\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_functions_framing_headers_are_replaced_by_true_ones() {
    let answer = host(&[]).connect().get("/headers").await;
    assert_eq!((answer.header("content-length").unwrap().as_str(), answer.body.as_str()), ("5", "hello"));
    assert_eq!(answer.header("x-kept").unwrap(), "1");
    for dropped in ["connection", "x-hop", "transfer-encoding"] {
        assert_eq!(answer.header(dropped), None, "{dropped}");
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(start_paused = true)]
async fn a_callers_trace_and_request_id_are_kept() {
    let request = format!(
        "GET /spy HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine-1\r\nTraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n\
         Tracestate: a=b\r\n\r\n"
    );
    let answer = host(&[]).connect().request(&request).await;
    assert_eq!(answer.header("x-request-id").unwrap(), "mine-1");
    assert!(answer.body.contains("request-id mine-1\n"), "{}", answer.body);
    assert!(answer.body.contains(&format!("trace 00-{TRACE}-")), "{}", answer.body);
    assert!(answer.body.contains(&format!("header traceparent: 00-{TRACE}-")), "{}", answer.body);
    assert!(
        !answer.body.contains("00f067aa0ba902b7"),
        "the function's parent is our own span: {}",
        answer.body
    );
    assert!(answer.body.contains("header tracestate: a=b\n"), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn missing_and_malformed_names_are_replaced() {
    let mut client = host(&[]).connect();
    let twice = format!("Traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n").repeat(2);
    for headers in ["", &twice, "Traceparent: 00-nonsense\r\nTracestate: a=b\r\nX-Request-Id: with blank\r\n"]
    {
        let answer = client.request(&format!("GET /spy HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 32, "{id}");
        assert!(answer.body.contains(&format!("header traceparent: 00-{id}-")), "{}", answer.body);
        assert!(!answer.body.contains("tracestate"), "{}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_life_of_the_host_and_health_does_not() {
    let host = loading(&[]);
    let mut client = host.connect();
    assert_eq!((client.get("/healthz").await.status, client.get("/readyz").await.status), (200, 503));
    host.load();
    assert_eq!((client.get("/healthz").await.status, client.get("/readyz").await.status), (200, 200));
    host.app.lifecycle.advance(Phase::Draining);
    assert_eq!(client.get("/healthz").await.header("connection").unwrap(), "close");
    assert!(client.is_closed().await);
    assert_eq!(host.connect().get("/readyz").await.status, 503);
    assert_eq!(host.connect().get("/").await.body, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_during_the_load_waits_for_it() {
    let host = loading(&[]);
    let mut client = host.connect();
    client.send("GET /spy HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_queue_length", 1.0).await;
    host.load();
    assert_eq!(client.answer("GET").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn when_the_host_closes_idle_connections_have_a_moment_and_busy_ones_finish() {
    let host = host(&[]);
    let (mut idle, mut late, mut busy) = (host.connect(), host.connect(), host.connect());
    assert_eq!(idle.get("/").await.status, 200);
    assert_eq!(late.get("/").await.status, 200);
    busy.send("GET /sleep/5000 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.engine.until(&Seen::Called("/sleep/5000".to_owned())).await;
    let before = tokio::time::Instant::now();
    host.app.lifecycle.advance(Phase::Closing);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = late.get("/").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close".to_owned())));
    assert!(late.is_closed().await);
    assert!(idle.is_closed().await);
    assert_eq!(before.elapsed().as_millis(), 250);
    let answer = busy.answer("GET").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close".to_owned())));
    assert!(busy.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_closing_host_waits_for_a_first_request_and_for_nothing_else() {
    let host = host(&[]);
    let (mut fresh, mut silent, mut half, mut stalled) =
        (host.connect(), host.connect(), host.connect(), host.connect());
    half.send("GET / HT").await;
    stalled.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\na").await;
    host.until_metric("funchost_connections", 4.0).await;
    let before = tokio::time::Instant::now();
    host.app.lifecycle.advance(Phase::Closing);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = fresh.get("/").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close".to_owned())));
    assert!(silent.is_closed().await);
    assert!(half.is_closed().await);
    assert!(before.elapsed() <= Duration::from_secs(1), "{:?}", before.elapsed());
    stalled.send("bc").await;
    assert_eq!(stalled.answer("POST").await.body, "abc");
    drop((half, stalled));
    host.until_metric("funchost_connections", 0.0).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_the_load_are_sent_away_when_it_will_not_be_used() {
    let host = loading(&[]);
    let mut client = host.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_queue_length", 1.0).await;
    host.app.admission.close();
    let answer = client.answer("GET").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "the host is shutting down\n"));
}

#[tokio::test(start_paused = true)]
async fn the_engines_own_capacity_bounds_the_calls() {
    let host = loading(&[("FUNC_QUEUE", "0")]);
    host.app.loaded("fake", Arc::new(FakeEngine::with_capacity(1)), Duration::ZERO);
    let mut first = host.connect();
    first.send("GET /sleep/1000 HTTP/1.1\r\nHost: test\r\n\r\n").await;
    host.until_metric("funchost_calls_in_flight", 1.0).await;
    assert_eq!(host.connect().get("/").await.status, 503);
    assert_eq!(first.answer("GET").await.status, 200);
}
