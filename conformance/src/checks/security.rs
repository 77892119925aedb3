//! What clients and functions must not be able to do.

use std::time::Duration;

use super::tools::unique;
use crate::check::{Check, should};
use crate::http::Request;
use crate::problem::{Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    should(
        "security.1/length-and-chunks-are-400",
        "A request with Content-Length and Transfer-Encoding is answered 400.",
        |t| {
            refused(
                t,
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            )
        },
    ),
    should("security.1/two-lengths-are-400", "A request with two lengths is answered 400.", |t| {
        refused(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
    }),
    should("security.1/odd-length-is-400", "A length such as +5 is answered 400.", |t| {
        refused(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello")
    }),
    should("security.1/broken-chunk-is-400", "A chunk whose length is no number is answered 400.", |t| {
        refused(
            t,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n0\r\n\r\n",
        )
    }),
    should(
        "security.1/unknown-transfer-coding-is-refused",
        "A transfer coding other than chunked is refused.",
        |t| {
            let exchange =
                t.raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")?;
            exchange.status_in(&[400, 501]).map(drop)
        },
    ),
    should("security.2/no-host-is-400", "A request of HTTP/1.1 without Host is answered 400.", |t| {
        refused(t, "GET / HTTP/1.1\r\nX-None: 1\r\n\r\n")
    }),
    should("security.2/two-hosts-are-400", "A request with two hosts is answered 400.", |t| {
        refused(t, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    }),
    should(
        "security.3/space-before-colon-is-400",
        "A space between a field's name and its colon is answered 400.",
        |t| refused(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Odd : 1\r\n\r\n"),
    ),
    should("security.3/control-sign-is-400", "A NUL in a field's value is answered 400.", |t| {
        refused(t, "GET / HTTP/1.1\r\nHost: a\r\nX-Odd: a\0b\r\n\r\n")
    }),
    should(
        "security.3/no-request-is-400",
        "What is no HTTP is answered 400, or the connection is closed.",
        |t| {
            let mut connection = t.connect()?;
            connection.write("this is no request at all\r\n\r\n");
            match connection.answer("GET") {
                Ok(exchange) => exchange.status(400).map(drop),
                Err(problem) => {
                    let is_closed = connection.is_closed(READ);
                    if is_closed { Ok(()) } else { Err(problem) }
                }
            }
        },
    ),
    should(
        "security.4/smuggled-request-is-not-answered",
        "What follows a request that was refused is not answered.",
        |t| {
            let path = format!("/{}", unique("smuggled"));
            let mut connection = t.connect()?;
            connection.write(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
            let first = connection.answer("POST")?;
            expect(
                connection.answer("GET").is_err(),
                "the connection is closed after the first answer",
                "a second answer came",
            )?;
            first.status(400).map(drop)
        },
    ),
    should(
        "security.5/header-cannot-split",
        "A line break in a function's header field adds no field.",
        |t| t.get("/?as=split")?.no_header("x-injected").map(drop),
    )
    .on("reply"),
    should(
        "security.5/length-cannot-lie",
        "A Content-Length that a function makes up harms no later answer.",
        |t| {
            let mut connection = t.connect()?;
            let Ok(first) = connection.exchange(&Request::get("/?as=false-length").keep()) else {
                return Ok(());
            };
            if first.reply.status == 200 {
                first.body("hello world")?;
            }
            match connection.exchange(&Request::get("/?as=text")) {
                Ok(second) => second.ok()?.body("hello world").map(drop),
                // The connection has been given up, which is safe.
                Err(_) => Ok(()),
            }
        },
    )
    .on("reply"),
    should(
        "security.5/framing-is-the-servers",
        "A function's Transfer-Encoding and Connection harm no answer.",
        |t| {
            let exchange = t.get("/?as=hop")?;
            if exchange.reply.status == 200 {
                exchange.complete()?.body("hello world")?;
            }
            Ok(())
        },
    )
    .on("reply"),
    should(
        "security.6/lines-cannot-be-forged",
        "A client cannot end a line of the log and begin another.",
        |t| {
            let mark = unique("forged");
            let agent = format!("agent\" \\\"\u{9b}\u{85}{mark}");
            t.send(&Request::get(&format!("/%0a{mark}%0d%0a{mark}")).header("User-Agent", &agent))?;
            let line = t.line_until("a line with the request", |line| line.contains(&mark))?;
            let output = t.instance()?.output().stdout;
            let lines: Vec<_> = output.lines().filter(|other| other.contains(&mark)).collect();
            expect(lines == [line.as_str()], "one line", lines.join("\n"))?;
            expect(!line.contains('\u{9b}'), "a line without control signs", line)
        },
    )
    .logs(),
    should(
        "security.7/survives-noise",
        "After a hundred connections of noise the next call is answered.",
        |t| {
            for _ in 0..100 {
                let mut connection = t.connect()?;
                let mut noise: Vec<u8> = (0..200).map(|_| fastrand::u8(..)).collect();
                noise.extend(b"\r\n\r\n");
                connection.write(noise);
                connection.finish_sending();
                // Until the server has made of it what it will.
                connection.is_closed(READ);
            }
            t.get("/")?.ok().map(drop)
        },
    ),
    should(
        "security.7/survives-clients-that-leave",
        "After a hundred clients that leave amidst it the next call is answered.",
        |t| {
            for number in 0..100 {
                let mut connection = t.connect()?;
                connection.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbegun");
                if number >= 95 {
                    // The last ones leave politely, and it can be seen when the server has noticed.
                    connection.finish_sending();
                    connection.is_closed(READ);
                }
            }
            t.get("/")?.ok().map(drop)
        },
    ),
];

/// How long a server is given to read what it can make nothing of.
const READ: Duration = Duration::from_secs(5);

fn refused(trial: &Trial<'_>, bytes: &str) -> Seen {
    trial.raw(bytes)?.status(400).map(drop)
}
