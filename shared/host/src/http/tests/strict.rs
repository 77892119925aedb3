//! Requests that two readers could understand differently, and those that are too large to read.

use super::host;

/// Sends the bytes and expects a refusal with this status, counted as what it is, on a connection that is then
/// closed.
async fn refused(status: u16, request: impl AsRef<[u8]>) {
    let reason = if matches!(status, 414 | 431) { "head_too_large" } else { "malformed" };
    let shown = String::from_utf8_lossy(&request.as_ref()[..request.as_ref().len().min(100)]).into_owned();
    let host = host(&[]);
    let mut client = host.connect();
    client.send(request).await;
    let answer = client.try_answer("GET").await.unwrap_or_else(|| panic!("no answer to {shown:?}"));
    assert_eq!(answer.status, status, "{shown:?}");
    assert!(client.is_closed().await, "{shown:?}");
    assert_eq!(host.engine.seen(), [], "{shown:?}");
    // Counted when the connection is really over, which is after the client has had time to read the answer.
    drop(client);
    host.until_metric(&format!("funchost_rejected_total{{reason=\"{reason}\"}}"), 1.0).await;
}

#[tokio::test(start_paused = true)]
async fn ambiguous_hosts() {
    refused(400, "GET / HTTP/1.1\r\n\r\n").await;
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").await;
    refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn ambiguous_lengths() {
    for lengths in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: -3",
        "Content-Length: +3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: three",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        refused(400, format!("POST / HTTP/1.1\r\nHost: a\r\n{lengths}\r\n\r\nabc")).await;
    }
    refused(400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_chunked_request_is_read_alone() {
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let host = host(&[]);
    let mut client = host.connect();
    for leading in ["", "\r\n\r\n"] {
        assert_eq!(client.request(&format!("{leading}{chunked}")).await.body, "abc");
    }
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{chunked}")).await;
    assert_eq!(client.answer("GET").await.body, "hello");
    assert_eq!(client.answer("POST").await.status, 400);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn the_same_length_twice_is_one_length() {
    let host = host(&[]);
    let answer = host
        .connect()
        .request("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert_eq!(answer.body, "abc");
}

#[tokio::test(start_paused = true)]
async fn broken_syntax() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\x07: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: empty\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
    ] {
        refused(400, head).await;
    }
    for head in ["GET * HTTP/1.1\r\nHost: a\r\n\r\n", "GET example:80 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        refused(400, head).await;
    }
    refused(405, "CONNECT example:80 HTTP/1.1\r\nHost: example:80\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_too_large() {
    for target in [20_000, 60_000, 100_000] {
        refused(414, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(target))).await;
    }
    refused(431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(70_000))).await;
    refused(431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(2_000_000))).await;
    refused(431, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(5_000))).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_below_the_limits_is_no_problem() {
    let host = host(&[]);
    let many = (0..90).map(|n| format!("X-{n}: {}\r\n", "a".repeat(500))).collect::<String>();
    let answer = host.connect().request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_smallest_head_limit_works() {
    let host = host(&[("FUNC_HEADER_MAX", "1024")]);
    assert_eq!(host.connect().get("/").await.status, 200);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(1024));
    assert_eq!(host.connect().request(&large).await.status, 431);
}

#[tokio::test(start_paused = true)]
async fn a_broken_chunk_is_refused_and_closes_the_connection() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc").await;
    let refused = client.answer("POST").await;
    let reason = "the request body cannot be read: Invalid chunk size line: missing size digit\n";
    assert_eq!((refused.status, refused.body.as_str()), (400, reason));
    assert!(client.is_closed().await);
    assert_eq!(host.engine.seen(), []);
}

#[tokio::test(start_paused = true)]
async fn http_1_0_needs_no_host_and_closes() {
    let host = host(&[]);
    let mut client = host.connect();
    assert_eq!(client.request("GET / HTTP/1.0\r\n\r\n").await.body, "hello");
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn requests_may_be_pipelined() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(client.answer("GET").await.body, "hello");
    }
}
