//! How a request's body reaches the function.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::tools::{BYTES, JSON, TEXT, data, data_is, field, told, unique, was_not_called};
use crate::check::{Check, must, should};
use crate::http::Request;
use crate::problem::{Problem, Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    must("data.1/text-arrives", "A body of text is the event's data.", |t| {
        data_is(&told(t, &Request::post("/", TEXT, "grüße 🌍"))?, "grüße 🌍".as_bytes())
    }),
    must("data.2/json-arrives", "A body of JSON reaches the function, as text or as values.", |t| {
        let sent = json!({"name": "Ada", "tags": ["a", "b"], "n": 1.5, "none": null});
        let answer = told(t, &Request::post("/", JSON, sent.to_string()))?;
        let found = match answer.1["data"]["kind"].as_str() {
            Some("value") => answer.1["data"]["value"].clone(),
            _ => serde_json::from_slice(&data(&answer)?).unwrap_or_default(),
        };
        answer.0.expect(found == sent, format!("the function gets {sent}"), format!("it gets {found}"))
    }),
    must("data.3/object", "A JSON object is the language's own.", |t| {
        is_value(t, JSON, &json!({"a": {"b": [true, null]}}))
    })
    .needs("structured-data"),
    must("data.3/array", "A JSON array is the language's own.", |t| {
        is_value(t, JSON, &json!([1, "two", {"three": 3}]))
    })
    .needs("structured-data"),
    must("data.3/text", "JSON text is the language's own.", |t| {
        is_value(t, JSON, &json!("grüße \u{1F30D} \"quoted\""))
    })
    .needs("structured-data"),
    must("data.3/with-parameters", "application/json; charset=utf-8 is JSON as well.", |t| {
        is_value(t, "application/json; charset=utf-8", &json!({"a": 1}))
    })
    .needs("structured-data"),
    must("data.3/type-in-any-case", "Application/JSON is JSON as well.", |t| {
        is_value(t, "Application/JSON", &json!({"a": 1}))
    })
    .needs("structured-data"),
    must("data.4/malformed-is-400", "Malformed JSON is answered 400.", |t| {
        t.send(&Request::post("/", JSON, "{\"a\": "))?.status(400).map(drop)
    })
    .needs("structured-data"),
    must("data.4/function-is-not-called", "The function is not called with malformed JSON.", |t| {
        let name = unique("malformed");
        t.send(&Request::post("/", JSON, "{\"a\": ").header("event-id", &name))?;
        was_not_called(t, &name)
    })
    .needs("structured-data")
    .logs(),
    should("data.5/form-is-not-parsed", "A form is handed over as it came.", |t| {
        data_is(
            &told(t, &Request::post("/", "application/x-www-form-urlencoded", "a=1&b=%20"))?,
            b"a=1&b=%20",
        )
    }),
    should("data.5/without-a-type", "A body without Content-Type is handed over.", |t| {
        data_is(&told(t, &Request::new("POST", "/").body("plain"))?, b"plain")
    }),
    should("data.5/suffix-json-is-not-parsed", "application/vnd.api+json is handed over as it came.", |t| {
        data_is(&told(t, &Request::post("/", "application/vnd.api+json", "{\"a\": 1}"))?, b"{\"a\": 1}")
    }),
    should(
        "data.5/text-like-json-is-not-parsed",
        "text/plain that looks like JSON is handed over as it came.",
        |t| data_is(&told(t, &Request::post("/", TEXT, "{\"a\": 1}"))?, b"{\"a\": 1}"),
    ),
    must("data.6/every-byte-arrives", "All 256 bytes arrive as they are.", |t| {
        let bytes: Vec<u8> = (0..=255).collect();
        data_is(&told(t, &Request::post("/", BYTES, bytes.clone()))?, &bytes)
    })
    .needs("binary-body"),
    must("data.6/not-utf-8-arrives", "A broken UTF-8 sequence arrives as it is, also as text/plain.", |t| {
        let bytes = b"good \xf0\x9f\x8c then bad \xff\xfe".to_vec();
        data_is(&told(t, &Request::post("/", TEXT, bytes.clone()))?, &bytes)
    })
    .needs("binary-body"),
    should("data.7/get-has-none", "A GET without a body has empty data.", |t| {
        is_empty(t, &Request::get("/"))
    }),
    should("data.7/length-of-0-has-none", "A POST with Content-Length: 0 has empty data.", |t| {
        is_empty(t, &Request::new("POST", "/").body(""))
    }),
    should("data.8/chunked-arrives", "A body in chunks arrives whole.", |t| {
        let text = "0123456789".repeat(10_000);
        data_is(&told(t, &Request::post("/", TEXT, text.as_str()).chunked())?, text.as_bytes())
    }),
    should("data.9/gzip-is-undone", "A body with Content-Encoding: gzip arrives inflated.", |t| {
        data_is(&told(t, &coded("gzip", gzip(b"inflate me")?))?, b"inflate me")
    }),
    should("data.9/deflate-is-undone", "A body with Content-Encoding: deflate arrives inflated.", |t| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let deflated = encoder.write_all(b"inflate me").and_then(|()| encoder.finish());
        data_is(&told(t, &coded("deflate", deflated.map_err(suite)?))?, b"inflate me")
    }),
    should("data.9/br-is-undone", "A body with Content-Encoding: br arrives inflated.", |t| {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
        encoder.write_all(b"inflate me").map_err(suite)?;
        data_is(&told(t, &coded("br", encoder.into_inner()))?, b"inflate me")
    }),
    should(
        "data.9/coded-json-is-json",
        "JSON with Content-Encoding: gzip reaches the function like any other.",
        |t| {
            let request = Request::post("/", JSON, gzip(b"{\"a\": 1}")?).header("Content-Encoding", "gzip");
            let answer = told(t, &request)?;
            match answer.1["data"]["kind"].as_str() {
                Some("value") => field(&answer, "/data/value", &json!({"a": 1})),
                _ => data_is(&answer, b"{\"a\": 1}"),
            }
        },
    ),
    should("data.10/unknown-coding-is-415", "A body with Content-Encoding: rot13 is answered 415.", |t| {
        t.send(&coded("rot13", b"vasyngr zr".to_vec()))?.status(415).map(drop)
    }),
    should("data.10/broken-coding-is-400", "A body that is no gzip, but says so, is answered 400.", |t| {
        t.send(&coded("gzip", b"this is no gzip".to_vec()))?.status(400).map(drop)
    }),
    must("data.11/file-arrives", "An uploaded file is read with the language's customary library.", |t| {
        let answer = t.send(&upload())?;
        answer.ok()?;
        let told = (answer.clone(), answer.json()?);
        field(&told, "/file/name", &json!("notes.txt"))?;
        field(&told, "/file/size", &json!(FILE.len()))?;
        field(&told, "/file/text", &json!(FILE))
    })
    .on("upload")
    .needs("multipart"),
    must("data.11/fields-arrive", "The other fields of an upload are read as well.", |t| {
        let answer = t.send(&upload())?;
        answer.ok()?;
        field(&(answer.clone(), answer.json()?), "/title", &json!("grüße"))
    })
    .on("upload")
    .needs("multipart"),
    must("data.12/piece-by-piece", "The function answers a line before the next one is sent.", |t| {
        let mut connection = t.connect()?;
        connection.send_head(&Request::post("/", TEXT, "").chunked());
        connection.write("3\r\none\r\n1\r\n\n\r\n");
        let reply = connection.answer_head()?;
        expect(
            reply.status == 200,
            "status 200 before the body has come to its end",
            format!("status {}", reply.status),
        )?;
        let first = connection.chunk(Instant::now() + Duration::from_secs(40)).unwrap_or_default();
        expect(
            first == b"3\n",
            "the length of the first line, 3, before the second one is sent",
            format!("{:?}", String::from_utf8_lossy(&first)),
        )?;
        connection.write("6\r\nthree\n\r\n0\r\n\r\n");
        let second = connection.chunk(Instant::now() + Duration::from_secs(40)).unwrap_or_default();
        expect(
            second == b"5\n",
            "the length of the second line, 5",
            format!("{:?}", String::from_utf8_lossy(&second)),
        )
    })
    .on("stream-in")
    .needs("streaming-request"),
    should("data.13/continue-is-sent", "A client that sends Expect: 100-continue is told to go on.", |t| {
        let mut connection = t.connect()?;
        let request = Request::post("/", TEXT, "late body").header("Expect", "100-continue");
        connection.send_head(&request);
        let interim = connection.read_until(Duration::from_secs(40), |bytes| bytes.ends_with(b"\r\n\r\n"));
        let interim = String::from_utf8_lossy(&interim).into_owned();
        expect(interim.starts_with("HTTP/1.1 100 "), "100 before the body is sent", interim.clone())?;
        connection.write("late body");
        let answer = connection.answer("POST")?;
        answer.ok()?;
        data_is(&(answer.clone(), answer.json()?), b"late body")
    }),
];

const FILE: &str = "what the file says\n";

fn upload() -> Request {
    let part = |disposition: &str, content: &str| {
        format!("--fence\r\nContent-Disposition: form-data; {disposition}\r\n{content}\r\n")
    };
    let body = part("name=\"title\"", "\r\ngrüße")
        + &part("name=\"file\"; filename=\"notes.txt\"", &format!("Content-Type: text/plain\r\n\r\n{FILE}"))
        + "--fence--\r\n";
    Request::post("/", "multipart/form-data; boundary=fence", body)
}

fn coded(coding: &str, body: Vec<u8>) -> Request {
    Request::post("/", TEXT, body).header("Content-Encoding", coding)
}

pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(suite)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn suite(problem: std::io::Error) -> Problem {
    Problem::broken(format!("the body could not be compressed: {problem}"))
}

fn is_value(trial: &Trial<'_>, media_type: &str, value: &Value) -> Seen {
    let answer = told(trial, &Request::post("/", media_type, value.to_string()))?;
    field(&answer, "/data/kind", &json!("value"))?;
    field(&answer, "/data/value", value)
}

/// Each language has its own word for nothing; none has bytes in it.
fn is_empty(trial: &Trial<'_>, request: &Request) -> Seen {
    let answer = told(trial, request)?;
    if answer.1["data"]["kind"] == "value" {
        let value = &answer.1["data"]["value"];
        let is_nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        return answer.0.expect(is_nothing, "data that is empty", format!("data = {value}"));
    }
    data_is(&answer, b"")
}
