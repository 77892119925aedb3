//! What browsers need to be allowed to call a function.

use super::tools::{unique, was_not_called};
use crate::check::{Check, should};
use crate::http::Request;

pub(super) const CHECKS: &[Check] = &[
    should(
        "cors.1/every-origin-may-read",
        "A function's response has Access-Control-Allow-Origin: *.",
        |t| {
            t.send(&Request::get("/").header("Origin", "https://example.org"))?
                .ok()?
                .header(ALLOWED, "*")
                .map(drop)
        },
    ),
    should("cors.1/errors-too", "So has the response to a function's failure.", |t| {
        t.get("/?how=raise")?.header(ALLOWED, "*").map(drop)
    })
    .on("fail"),
    should("cors.1/timeouts-too", "So has a 408.", |t| {
        t.get("/?do=sleep&ms=60000")?.status(408)?.header(ALLOWED, "*").map(drop)
    })
    .on("work")
    .env(&[("FUNC_TIMEOUT", "1")]),
    should("cors.2/host-paths-have-none", "/healthz and /metrics allow no other origin.", |t| {
        t.get("/healthz")?.no_header(ALLOWED)?;
        t.get("/metrics")?.no_header(ALLOWED).map(drop)
    }),
    should("cors.2/refused-bodies-have-none", "Nor does the answer to a body that is too large.", |t| {
        let request = Request::post("/", "text/plain", vec![b'x'; 1024 * 1024 + 1]);
        t.send(&request)?.status(413)?.no_header(ALLOWED).map(drop)
    }),
    should("cors.3/preflight-is-answered", "A preflight is answered with success and every origin.", |t| {
        let exchange = t.send(&preflight())?;
        exchange.status_in(&[200, 204])?.header(ALLOWED, "*")?.body("").map(drop)
    }),
    should("cors.3/method-is-allowed", "The method that was asked for is allowed.", |t| {
        let exchange = t.send(&preflight())?;
        let found = exchange.reply.header("access-control-allow-methods").unwrap_or_default().to_owned();
        exchange.expect(found.contains("PUT"), "Access-Control-Allow-Methods with PUT", found.clone())
    }),
    should("cors.3/headers-are-allowed", "The header fields that were asked for are allowed.", |t| {
        let exchange = t.send(&preflight())?;
        let found =
            exchange.reply.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        let holds = found.contains("x-own") && found.contains("content-type");
        exchange.expect(holds, "Access-Control-Allow-Headers with x-own and content-type", found)
    }),
    should("cors.4/function-is-not-called", "A preflight does not call the function.", |t| {
        let name = unique("preflight");
        t.send(&preflight().header("event-id", &name))?;
        was_not_called(t, &name)
    })
    .logs(),
    should("cors.5/function-knows-better", "An origin that the function allows itself is kept.", |t| {
        t.get("/?as=own-cors")?.ok()?.header(ALLOWED, "https://example.org").map(drop)
    })
    .on("reply"),
    should("cors.6/off-allows-nobody", "With FUNC_CORS=off a response has no such field.", |t| {
        t.get("/")?.ok()?.no_header(ALLOWED).map(drop)
    })
    .env(OFF),
    should(
        "cors.6/off-gives-preflights-to-the-function",
        "With FUNC_CORS=off a preflight reaches the function.",
        |t| {
            let answer = super::tools::told(t, &preflight())?;
            super::tools::field(&answer, "/request/method", &"OPTIONS".into())
        },
    )
    .env(OFF),
];

const ALLOWED: &str = "access-control-allow-origin";
const OFF: &[(&str, &str)] = &[("FUNC_CORS", "off")];

fn preflight() -> Request {
    Request::new("OPTIONS", "/orders")
        .header("Origin", "https://example.org")
        .header("Access-Control-Request-Method", "PUT")
        .header("Access-Control-Request-Headers", "x-own, content-type")
}
