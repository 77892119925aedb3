//! What a request body may be.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use testkit::Seen;

use super::{host, streaming};

const MIB: usize = 1_048_576;

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn chunked(data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in data.chunks(10_000) {
        body.extend(format!("{:x}\r\n", piece.len()).bytes());
        body.extend(piece);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    body
}

#[tokio::test(start_paused = true)]
async fn a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let host = host(&[]);
    let mut client = host.connect();
    assert_eq!(client.post("/echo", "", vec![b'a'; MIB]).await.body.len(), MIB);
    let refused = client.post("/echo", "", vec![b'a'; MIB + 1]).await;
    assert_eq!(refused.status, 413);
    assert_eq!(
        refused.body,
        "the request body has 1048577 bytes; allowed: 1048576 (REQ_MB_LIMIT, FUNC_MEMFILE_MAX)\n"
    );
    assert_eq!(refused.header("connection").unwrap(), "close");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert!(client.is_closed().await);
    assert_eq!(host.engine.seen().len(), 1);
    assert_eq!(host.metric("function_calls_total{method=\"POST\"}"), Some(1.0));
    assert_eq!(host.metric("funchost_rejected_total{reason=\"body_too_large\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn chunks_count_as_they_come() {
    let host = host(&[("REQ_MB_LIMIT", "0.5")]);
    for (size, status) in [(MIB / 2, 200), (MIB / 2 + 1, 413)] {
        let mut client = host.connect();
        client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send(chunked(&vec![b'a'; size])).await;
        assert_eq!(client.answer("POST").await.status, status, "{size} bytes");
    }
    assert_eq!(host.engine.seen(), [Seen::Called("/echo".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn uploads_are_limited_like_everything_else() {
    let host = host(&[("FUNC_MEMFILE_MAX", "100")]);
    let refused =
        host.connect().post("/echo", "Content-Type: multipart/form-data; boundary=b\r\n", [b'a'; 101]).await;
    assert_eq!(refused.status, 413);
}

#[tokio::test(start_paused = true)]
async fn what_counts_of_a_compressed_body_is_its_inflated_size() {
    let host = host(&[]);
    let coding = "Content-Encoding: gzip\r\n";
    let mut client = host.connect();
    let spied = client.post("/spy", coding, gzip(b"some text")).await.body;
    assert!(spied.contains("body some text\n") && spied.contains("header content-length: 9\n"), "{spied}");
    assert!(!spied.contains("content-encoding"), "{spied}");
    assert_eq!(client.post("/echo", coding, gzip(&vec![b'a'; MIB])).await.body.len(), MIB);
    assert_eq!(host.connect().post("/echo", coding, gzip(&vec![b'a'; MIB + 1])).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn every_coding_is_undone() {
    let data = b"some data, some data".repeat(5000);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&data).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::best());
    bare.write_all(&data).unwrap();
    let mut br = Vec::new();
    brotli::CompressorWriter::new(&mut br, 4096, 5, 20).write_all(&data).unwrap();
    let members = [gzip(&data[..1000]), gzip(&data[1000..])].concat();
    let zlib = zlib.finish().unwrap();
    let followed = [&zlib[..], b"what follows the end"].concat();
    for (coding, body) in [
        ("gzip", gzip(&data)),
        ("gzip", members),
        ("deflate", zlib),
        ("deflate", followed),
        ("deflate", bare.finish().unwrap()),
        ("br", br),
        ("identity", data.clone()),
        ("gzip, gzip", gzip(&gzip(&data))),
        ("deflate", Vec::new()),
    ] {
        for host in [host(&[]), streaming(&[])] {
            let mut client = host.connect();
            let answer = client.post("/echo", &format!("Content-Encoding: {coding}\r\n"), &body).await;
            let expected = if body.is_empty() { &[] } else { &data[..] };
            assert_eq!(answer.status, 200, "{coding}: {}", answer.body);
            assert!(answer.body.as_bytes() == expected, "{coding}: {} bytes", answer.body.len());
            assert_eq!(client.get("/").await.status, 200, "{coding}: the connection can be used again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bomb_is_refused_at_the_limit() {
    let bomb = gzip(&gzip(&vec![0; 100 * MIB]));
    assert!(bomb.len() < 2000);
    for host in [host(&[]), streaming(&[])] {
        let refused = host.connect().post("/read", "Content-Encoding: gzip, gzip\r\n", &bomb).await;
        assert_eq!(refused.status, 413);
        assert!(refused.body.starts_with("the request body has more than 1048576 bytes"), "{}", refused.body);
    }
}

#[tokio::test(start_paused = true)]
async fn the_headers_say_what_the_function_gets() {
    let host = host(&[]);
    let mut client = host.connect();
    client.send("POST /spy HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send(chunked(b"some text")).await;
    let spied = client.answer("POST").await.body;
    assert!(spied.contains("header content-length: 9\n") && !spied.contains("transfer-encoding"), "{spied}");
    let empty = "POST /spy HTTP/1.1\r\nHost: test\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(client.request(empty).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_cannot_be_inflated_are_refused() {
    for host in [host(&[]), streaming(&[])] {
        let half = &gzip(b"some text")[..15];
        for (coding, body) in [
            ("gzip", &b"plain text"[..]),
            ("deflate", b"truly"),
            ("br", b"plain text, truly"),
            ("gzip", half),
        ] {
            let coding = format!("Content-Encoding: {coding}\r\n");
            let broken = host.connect().post("/read", &coding, body).await;
            assert_eq!(broken.status, 400, "{coding}");
            assert!(broken.body.starts_with("the request body cannot be inflated: "), "{}", broken.body);
        }
        let unknown = host.connect().post("/read", "Content-Encoding: zstd\r\n", "data").await;
        assert_eq!(unknown.status, 415);
        assert_eq!(host.metric("funchost_rejected_total{reason=\"bad_body\"}"), Some(5.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_first_is_told_to_go_on_or_not_to() {
    let host = host(&[]);
    let ask = |size: usize| {
        format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = host.connect();
    assert_eq!(client.request(&ask(3)).await.status, 100);
    client.send("abc").await;
    assert_eq!(client.answer("POST").await.body, "abc");
    let refused = client.request(&ask(MIB + 1)).await;
    assert_eq!((refused.status, refused.header("connection").unwrap().as_str()), (413, "close"));
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_sending_still_gets_its_413() {
    let host = host(&[]);
    let mut client = host.connect_with_buffer(1024);
    client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", 100 * MIB)).await;
    for _ in 0..1000 {
        client.send([b'a'; 1000]).await;
    }
    assert_eq!(client.answer("POST").await.status, 413);
    assert!(client.is_closed().await);
}
