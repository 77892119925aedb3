//! How what a function returns reaches the client.

use std::time::{Duration, Instant};

use serde_json::json;

use super::tools::{begin, unique};
use crate::check::{Check, may, must, should};
use crate::http::Request;
use crate::problem::expect;
use crate::trial::{PATIENCE, wait};

pub(super) const CHECKS: &[Check] = &[
    must("reply.1/text-is-the-body", "A text that the function returns is the body of a 200.", |t| {
        t.get("/?as=text")?.ok()?.body("hello world").map(drop)
    })
    .on("reply"),
    must("reply.1/unicode-is-utf-8", "Text beyond ASCII goes out as UTF-8.", |t| {
        t.get("/?as=unicode")?.ok()?.body("grüße 🌍").map(drop)
    })
    .on("reply"),
    should(
        "reply.2/nothing-is-an-empty-200",
        "A function that returns nothing is answered with an empty 200.",
        |t| t.get("/?as=nothing")?.ok()?.body("").map(drop),
    )
    .on("reply"),
    should("reply.3/object-is-json", "An object that the function returns goes out as JSON.", |t| {
        let exchange = t.get("/?as=object")?;
        exchange.ok()?;
        let found = exchange.json()?;
        exchange.expect(
            found == json!({"hello": "world", "n": 1}),
            "{\"hello\": \"world\", \"n\": 1}",
            found.to_string(),
        )
    })
    .on("reply"),
    should("reply.3/object-has-its-type", "An object goes out as application/json.", |t| {
        let exchange = t.get("/?as=object")?;
        let found = exchange.reply.header("content-type").unwrap_or("nothing").to_owned();
        exchange.expect(
            found.starts_with("application/json"),
            "Content-Type: application/json",
            found.clone(),
        )
    })
    .on("reply"),
    should("reply.4/bytes-stay-as-they-are", "Bytes that are no text go out as they are.", |t| {
        let bytes: Vec<u8> = (0..=255).collect();
        t.get("/?as=bytes")?.ok()?.body(&bytes).map(drop)
    })
    .on("reply"),
    should("reply.5/status-is-kept", "A status that the function chooses is the response's.", |t| {
        t.get("/?as=status")?.status(201)?.body("created").map(drop)
    })
    .on("reply"),
    should("reply.5/headers-are-kept", "Header fields that the function sets are the response's.", |t| {
        t.get("/?as=status")?.header("x-fixture", "reply").map(drop)
    })
    .on("reply"),
    should("reply.5/type-is-kept", "A Content-Type that the function sets is the response's.", |t| {
        t.get("/?as=status")?.header("content-type", "text/x-fixture").map(drop)
    })
    .on("reply"),
    should("reply.5/redirect-is-kept", "A redirection goes to the client, and is not followed.", |t| {
        let exchange = t.get("/?as=redirect")?;
        exchange.status(302)?;
        let found = exchange.reply.header("location").unwrap_or_default().to_owned();
        exchange.expect(found.ends_with("/elsewhere"), "Location: /elsewhere", found.clone())
    })
    .on("reply"),
    should("reply.5/cookies-stay-two", "Two Set-Cookie fields stay two.", |t| {
        let exchange = t.get("/?as=cookies")?;
        let mut found: Vec<_> = exchange.reply.all("set-cookie").collect();
        found.sort_unstable();
        exchange.expect(found == ["a=1", "b=2"], "Set-Cookie: a=1 and Set-Cookie: b=2", format!("{found:?}"))
    })
    .on("reply"),
    should("reply.5/error-page-is-kept", "A body that the function sends with status 503 is kept.", |t| {
        t.get("/?as=unavailable")?.status(503)?.body("my own page").map(drop)
    })
    .on("reply"),
    should("reply.6/204-has-no-body", "204 has no body, no length, and the connection goes on.", |t| {
        let mut connection = t.connect()?;
        let first = connection.exchange(&Request::get("/?as=no-content").keep())?;
        first.status(204)?;
        connection.exchange(&Request::get("/?as=text"))?.ok()?.body("hello world").map(drop)
    })
    .on("reply"),
    should("reply.7/own-408-harms-nothing", "A function's own 408 is kept, and the server goes on.", |t| {
        t.get("/?as=own-408")?.status(408)?.body("too slow for me")?;
        // A server that ends itself afterwards takes its time.
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            t.get("/?as=text")?.ok()?;
        }
        Ok(())
    })
    .on("reply")
    .alone(),
    should("reply.8/large-arrives-whole", "A reply of 8 MiB arrives whole.", |t| {
        let exchange = t.get("/?as=big&size=8388608")?;
        exchange.ok()?;
        let (length, right) =
            (exchange.reply.body.len(), exchange.reply.body.iter().all(|byte| *byte == b'x'));
        exchange.expect(
            length == 8_388_608 && right,
            "8388608 bytes x",
            format!("{length} bytes, all of them x: {right}"),
        )
    })
    .on("reply"),
    should("reply.9/connection-is-kept", "Three calls are answered on one connection.", |t| {
        let mut connection = t.connect()?;
        for _ in 0..3 {
            connection.exchange(&Request::get("/?as=text").keep())?.ok()?.body("hello world")?;
        }
        Ok(())
    })
    .on("reply"),
    should(
        "reply.9/answers-keep-their-order",
        "Requests that are sent at once are answered in their order.",
        |t| {
            let mut connection = t.connect()?;
            let host = t.address()?.to_string();
            let mut bytes = Request::get("/?as=unicode").keep().bytes(&host);
            bytes.extend(Request::get("/?as=text").bytes(&host));
            connection.write(bytes);
            connection.answer("GET")?.ok()?.body("grüße 🌍")?;
            connection.answer("GET")?.ok()?.body("hello world").map(drop)
        },
    )
    .on("reply"),
    must(
        "reply.10/pieces-come-when-they-are-made",
        "The first piece is there while the function still waits.",
        |t| {
            let mut connection = t.connect()?;
            connection.send(&Request::get("/?pieces=2&ms=5000"));
            let reply = connection.answer_head()?;
            expect(reply.status == 200, "status 200", format!("status {}", reply.status))?;
            let end = Instant::now() + PATIENCE;
            let first = connection.chunk(end).unwrap_or_default();
            let came = Instant::now();
            expect(
                first == b"piece 1\n",
                "the first piece by itself",
                format!("{:?}", String::from_utf8_lossy(&first)),
            )?;
            let second = connection.chunk(end).unwrap_or_default();
            expect(
                second == b"piece 2\n",
                "the second piece",
                format!("{:?}", String::from_utf8_lossy(&second)),
            )?;
            expect(
                came.elapsed() > Duration::from_secs(1),
                "5 s between the pieces, as the function makes them",
                format!("{:.1?} between them", came.elapsed()),
            )
        },
    )
    .on("stream")
    .needs("streaming-reply"),
    must(
        "reply.10/pieces-are-all-there",
        "A hundred pieces arrive in their order, and the reply ends.",
        |t| {
            let whole: String = (1..=100).map(|number| format!("piece {number}\n")).collect();
            t.get("/?pieces=100&ms=0")?.ok()?.body(whole).map(drop)
        },
    )
    .on("stream")
    .needs("streaming-reply"),
    must(
        "reply.11/failure-cuts-off",
        "A function that fails after its first piece is not taken for one that has ended.",
        |t| {
            let mut connection = t.connect()?;
            let exchange = connection.exchange(&Request::get("/?pieces=1&ms=100&then=raise"))?;
            let breaks_off = !exchange.reply.complete && connection.is_closed(Duration::from_secs(2));
            exchange.expect(
                breaks_off || exchange.reply.status >= 500,
                "a reply that breaks off",
                if exchange.reply.complete {
                    "a reply that ends as if it were whole"
                } else {
                    "a reply that never ends"
                },
            )
        },
    )
    .on("stream")
    .needs("streaming-reply"),
    may("reply.12/client-that-leaves-stops-it", "The function stops when its client has left.", |t| {
        let name = unique("left");
        drop(begin(t, "/?pieces=100000&ms=50", &name)?);
        let word = format!("stopped {name}");
        t.log_until(&format!("the function stops, and its line \"{word}\" is in the log"), |log| {
            log.contains(&word)
        })
        .map(drop)
    })
    .on("stream")
    .needs("streaming-reply")
    .logs(),
    may("reply.12/slow-client-slows-it", "A function makes no more than its client takes.", |t| {
        let name = unique("slow");
        let _idle = begin(t, "/?pieces=2000&ms=0&size=65536", &name)?;
        // 128 MiB do not fit into what lies between function and client, and take less than this to be made.
        let word = format!("stopped {name}");
        let log = || t.instance.as_ref().map(|instance| instance.output().all()).unwrap_or_default();
        let outran = wait(Duration::from_secs(2), || log().contains(&word).then_some(()));
        expect(
            outran.is_none(),
            "the function waits for its client",
            "it has made all 128 MiB, and the client has taken none",
        )
    })
    .on("stream")
    .needs("streaming-reply")
    .logs()
    .alone(),
];
