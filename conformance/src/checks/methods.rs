//! Methods, paths, and versions of HTTP.

use std::time::Duration;

use serde_json::json;

use super::tools::{TEXT, data_is, field, told};
use crate::check::{Check, must, should};
use crate::http::Request;
use crate::problem::{Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    must("methods.1/get", "GET reaches the function.", |t| t.get("/")?.ok().map(drop)),
    must("methods.1/post", "POST reaches the function with its body.", |t| {
        data_is(&told(t, &Request::post("/", TEXT, "posted"))?, b"posted")
    }),
    should("methods.2/put", "PUT reaches the function with its body.", |t| with_body(t, "PUT")),
    should("methods.2/patch", "PATCH reaches the function with its body.", |t| with_body(t, "PATCH")),
    should("methods.2/delete", "DELETE reaches the function.", |t| reaches(t, "DELETE", "/")),
    should("methods.2/unusual", "A method that nobody has heard of reaches the function.", |t| {
        reaches(t, "FROBNICATE", "/")
    }),
    should("methods.3/head-has-no-body", "HEAD is answered like GET, without a body.", |t| {
        let mut connection = t.connect()?;
        connection.exchange(&Request::new("HEAD", "/").keep())?.status(200)?;
        // A body would be read as the next answer.
        connection.exchange(&Request::get("/healthz"))?.ok().map(drop)
    }),
    should("methods.3/head-calls-the-function", "HEAD runs the function.", |t| {
        t.send(&Request::new("HEAD", "/?as=status"))?.status(201)?.header("x-fixture", "reply").map(drop)
    })
    .on("reply"),
    should("methods.4/any-path", "Paths of any depth and spelling reach the function.", |t| {
        reaches(t, "GET", "/a/b/c.d")?;
        reaches(t, "GET", "/metrics/more")?;
        reaches(t, "GET", "/.hidden")
    }),
    should("methods.5/connect-is-405", "CONNECT is answered 405.", |t| {
        t.raw("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")?.status(405).map(drop)
    }),
    should("methods.6/http-1-0", "HTTP/1.0 is answered, and the connection closed.", |t| {
        let mut connection = t.connect()?;
        let request = Request::get("/").old();
        connection.exchange(&request)?.ok()?;
        expect(
            connection.is_closed(Duration::from_secs(20)),
            "the connection is closed",
            "it is open after 20 s",
        )
    }),
    should("methods.7/http-2", "HTTP/2 with prior knowledge is spoken on the same port.", |t| {
        let mut connection = t.connect()?;
        connection.write(http2_get());
        let found = connection.read_until(Duration::from_secs(40), |bytes| http2_headers(bytes).is_some());
        let headers = http2_headers(&found).unwrap_or_default();
        // `:status: 200` is entry 8 of the static table.
        expect(
            headers.contains(&0x88),
            "a HEADERS frame with status 200",
            format!(
                "{} bytes came, and no such frame: {:?}",
                found.len(),
                String::from_utf8_lossy(&found[..found.len().min(80)])
            ),
        )
    }),
];

fn reaches(trial: &Trial<'_>, method: &str, path: &str) -> Seen {
    let answer = told(trial, &Request::new(method, path))?;
    field(&answer, "/request/method", &json!(method))?;
    field(&answer, "/request/path", &json!(path))
}

fn with_body(trial: &Trial<'_>, method: &str) -> Seen {
    let answer = told(trial, &Request::new(method, "/").header("Content-Type", TEXT).body("sent along"))?;
    field(&answer, "/request/method", &json!(method))?;
    data_is(&answer, b"sent along")
}

/// A whole `GET /healthz` in HTTP/2: preface, SETTINGS, and HEADERS that end the stream.
fn http2_get() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // :method GET and :scheme http are in the static table; :path and :authority are literals.
    let mut block = vec![0x82, 0x86, 0x04, 8];
    block.extend(b"/healthz");
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    let length = u8::try_from(block.len()).unwrap_or_default();
    bytes.extend([0, 0, length, 1, 0x05, 0, 0, 0, 1]);
    bytes.extend(block);
    bytes
}

/// The header block of the first HEADERS frame among these frames.
fn http2_headers(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = bytes.split_at_checked(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, after) = rest.split_at_checked(length)?;
        if head[3] == 1 {
            return Some(payload);
        }
        bytes = after;
    }
}
