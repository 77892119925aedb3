//! What a client may send, and how long it may take.

use std::time::Duration;

use super::data::gzip;
use super::tools::{BYTES, data_is, told, unique, was_not_called};
use crate::check::{Check, should};
use crate::http::Request;
use crate::problem::{Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    should(
        "limits.1/mebibyte-is-taken",
        "A body of 1 MiB, the limit when nothing is set, reaches the function.",
        |t| taken(t, MIB),
    ),
    should("limits.2/one-more-is-413", "A body of 1 MiB and a byte is answered 413.", |t| {
        refused(t, &body(MIB + 1))
    }),
    should("limits.2/chunked-is-413", "So is one in chunks, which does not say its length.", |t| {
        refused(t, &body(MIB + 1).chunked())
    }),
    should(
        "limits.2/inflated-size-counts",
        "So is a small one that becomes larger when it is inflated.",
        |t| {
            let bomb = gzip(&vec![b'x'; 4 * MIB])?;
            refused(t, &Request::post("/", BYTES, bomb).header("Content-Encoding", "gzip"))
        },
    ),
    should("limits.2/multipart-is-413", "So is an upload.", |t| {
        refused(t, &Request::post("/", "multipart/form-data; boundary=fence", vec![b'x'; MIB + 1]))
    }),
    should(
        "limits.2/before-the-body-is-sent",
        "A length beyond the limit is answered before the body is sent.",
        |t| {
            let mut connection = t.connect()?;
            connection.send_head(&body(MIB + 1).header("Expect", "100-continue"));
            let answer = connection.answer("POST")?;
            answer.status(413)?;
            answer.expect(
                answer.reply.interim.is_empty(),
                "413 at once",
                format!("{:?} before it", answer.reply.interim),
            )
        },
    ),
    should(
        "limits.3/function-is-not-called",
        "The function is not called with a body beyond the limit.",
        |t| {
            let name = unique("large");
            t.send(&body(MIB + 1).header("event-id", &name))?;
            was_not_called(t, &name)
        },
    )
    .logs(),
    should("limits.3/serves-after-413", "The next client is served.", |t| {
        t.send(&body(MIB + 1))?;
        t.get("/")?.ok().map(drop)
    }),
    should("limits.4/req-mb-limit-raises", "With REQ_MB_LIMIT=3 a body of 3 MiB is taken.", |t| {
        taken(t, 3 * MIB)
    })
    .env(&[("REQ_MB_LIMIT", "3")]),
    should("limits.4/req-mb-limit-holds", "With REQ_MB_LIMIT=3 one more byte is answered 413.", |t| {
        refused(t, &body(3 * MIB + 1))
    })
    .env(&[("REQ_MB_LIMIT", "3")]),
    should(
        "limits.5/memfile-max-holds",
        "With FUNC_MEMFILE_MAX=1000 a body of 1001 bytes is answered 413.",
        |t| refused(t, &body(1001)),
    )
    .env(MEMFILE),
    should("limits.5/memfile-max-takes", "With FUNC_MEMFILE_MAX=1000 a body of 1000 bytes is taken.", |t| {
        taken(t, 1000)
    })
    .env(MEMFILE),
    should("limits.6/long-target-is-414", "A request line of 100 kB is answered 414.", |t| {
        t.get(&format!("/{}", "a".repeat(100_000)))?.status_in(&[414, 431]).map(drop)
    }),
    should("limits.6/large-head-is-431", "Header fields of 200 kB are answered 431.", |t| {
        let filler = "b".repeat(10_000);
        let request = (0..20)
            .fold(Request::get("/"), |request, number| request.header(&format!("X-{number}"), &filler));
        t.send(&request)?.status(431).map(drop)
    }),
    should("limits.6/ordinary-head-is-taken", "Header fields of 16 kB are taken.", |t| {
        t.send(
            &Request::get("/").header("X-Large", &"c".repeat(7_000)).header("X-Larger", &"d".repeat(9_000)),
        )?
        .ok()
        .map(drop)
    }),
    should(
        "limits.7/slow-head-is-cut-off",
        "With FUNC_HEADER_TIMEOUT=1 a head that does not end is cut off.",
        |t| {
            let mut connection = t.connect()?;
            connection.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
            expect(connection.is_closed(SOON), "the connection is closed after 1 s", "it is open after 20 s")
        },
    )
    .env(&[("FUNC_HEADER_TIMEOUT", "1")]),
    should(
        "limits.7/slow-body-is-408",
        "With FUNC_BODY_TIMEOUT=1 a body that does not come is answered 408.",
        |t| {
            let mut connection = t.connect()?.patience(SOON);
            connection.send_head(&body(100));
            connection.write("begun");
            connection.answer("POST")?.status(408).map(drop)
        },
    )
    .env(&[("FUNC_BODY_TIMEOUT", "1")]),
    should(
        "limits.7/idle-connection-is-closed",
        "With FUNC_IDLE_TIMEOUT=1 a connection without a request is closed.",
        |t| {
            let mut connection = t.connect()?;
            connection.exchange(&Request::get("/").keep())?.ok()?;
            expect(connection.is_closed(SOON), "the connection is closed after 1 s", "it is open after 20 s")
        },
    )
    .env(&[("FUNC_IDLE_TIMEOUT", "1"), ("FUNC_HEADER_TIMEOUT", "60")]),
    should(
        "limits.8/slow-clients-hold-up-nobody",
        "A call is answered while two hundred clients send nothing.",
        |t| {
            let mut slow = Vec::new();
            for _ in 0..200 {
                let mut connection = t.connect()?;
                connection.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
                slow.push(connection);
            }
            t.get("/")?.ok().map(drop)
        },
    )
    .alone(),
];

const MIB: usize = 1024 * 1024;
const MEMFILE: &[(&str, &str)] = &[("FUNC_MEMFILE_MAX", "1000")];
/// The promise is 1 s. A busy machine may be late, and by this much it is not late but wrong.
const SOON: Duration = Duration::from_secs(20);

fn body(length: usize) -> Request {
    Request::post("/", BYTES, vec![b'x'; length])
}

fn taken(trial: &Trial<'_>, length: usize) -> Seen {
    data_is(&told(trial, &body(length))?, &vec![b'x'; length])
}

fn refused(trial: &Trial<'_>, request: &Request) -> Seen {
    trial.send(request)?.status(413).map(drop)
}
