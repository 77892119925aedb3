//! What `/metrics` shows.

use super::tools::{JSON, TEXT};
use crate::check::{Check, should};
use crate::http::Request;
use crate::metrics::Metrics;
use crate::problem::{Problem, Seen, expect};
use crate::trial::Trial;

pub(super) const CHECKS: &[Check] = &[
    should("metrics.1/are-served", "GET /metrics is answered 200 in Prometheus' text format.", |t| {
        t.metrics().map(drop)
    }),
    should("metrics.1/have-their-type", "The Content-Type is text/plain with version=0.0.4.", |t| {
        let exchange = t.get("/metrics")?;
        let found = exchange.reply.header("content-type").unwrap_or("nothing").to_owned();
        let holds = found.starts_with("text/plain") && found.contains("version=0.0.4");
        exchange.expect(holds, "Content-Type: text/plain; version=0.0.4", found)
    }),
    should("metrics.1/head-has-no-body", "HEAD /metrics is answered 200.", |t| {
        t.send(&Request::new("HEAD", "/metrics"))?.status(200).map(drop)
    }),
    should("metrics.1/families-are-described", "Each family of the function has a HELP and a TYPE.", |t| {
        t.get("/?how=raise")?;
        let metrics = t.metrics_until("all three families", |now| now.failures("GET") > 0.0)?;
        for (name, kind) in [
            ("function_calls_total", "counter"),
            ("function_failures_total", "counter"),
            ("function_duration_seconds", "histogram"),
        ] {
            let is_typed = metrics.typed.contains(&(name.to_owned(), kind.to_owned()));
            let is_helped = metrics.helped.iter().any(|helped| helped == name);
            expect(
                is_typed && is_helped,
                format!("HELP, and TYPE {kind}, of {name}"),
                format!("help: {is_helped}, type: {is_typed}"),
            )?;
        }
        Ok(())
    })
    .on("fail"),
    should("metrics.2/get-is-counted", "A GET is one more of function_calls_total{method=\"GET\"}.", |t| {
        counted(t, "GET")
    }),
    should(
        "metrics.2/post-is-counted",
        "A POST is one more of function_calls_total{method=\"POST\"}.",
        |t| counted(t, "POST"),
    ),
    should("metrics.2/every-call-is-counted", "Thirty calls at once are thirty more.", |t| {
        let before = t.metrics()?.calls("GET");
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| t.get("/").map(drop));
            }
        });
        t.metrics_until("30 calls more", |now| same(now.calls("GET"), before + 30.0)).map(drop)
    }),
    should(
        "metrics.3/failure-is-counted",
        "An exception is one more of function_failures_total{method=\"GET\"}.",
        |t| {
            let before = t.metrics()?.failures("GET");
            t.get("/?how=raise")?;
            t.metrics_until("one failure more", |now| same(now.failures("GET"), before + 1.0)).map(drop)
        },
    )
    .on("fail"),
    should("metrics.3/failure-is-a-call", "An exception is counted as a call as well.", |t| {
        let before = t.metrics()?.calls("GET");
        t.get("/?how=raise")?;
        t.metrics_until("one call more", |now| same(now.calls("GET"), before + 1.0)).map(drop)
    })
    .on("fail"),
    should("metrics.3/success-is-no-failure", "A call that succeeds is no failure.", |t| {
        let before = t.metrics()?;
        t.get("/")?.ok()?;
        let now = t.metrics_until("one call more", |now| now.calls("GET") > before.calls("GET"))?;
        expect(
            same(now.failures("GET"), before.failures("GET")),
            "as many failures as before",
            format!("{} failures instead of {}", now.failures("GET"), before.failures("GET")),
        )
    })
    .on("fail"),
    should("metrics.4/duration-is-observed", "A call of 1 s adds one observation and at least 1 s.", |t| {
        let before = t.metrics()?;
        t.get("/?do=sleep&ms=1000")?.ok()?;
        let now = t.metrics_until("one observation more", |now| count(now) > count(&before))?;
        let added = now.value("function_duration_seconds_sum", GET)
            - before.value("function_duration_seconds_sum", GET);
        expect(added >= 0.99, "at least 1 s more", format!("{added} s more"))
    })
    .on("work"),
    should("metrics.4/buckets-are-prometheus-own", "The histogram has Prometheus' default buckets.", |t| {
        t.get("/")?.ok()?;
        let metrics = t.metrics_until("a histogram of GET", |now| count(now) > 0.0)?;
        let found: Vec<f64> = bounds(&metrics);
        let expected = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let has = |bound: &f64| found.iter().any(|found| same(*found, *bound));
        expect(expected.iter().all(has), format!("buckets {expected:?}"), format!("buckets {found:?}"))
    }),
    should("metrics.4/last-bucket-has-all", "The bucket +Inf has as many as the histogram's count.", |t| {
        t.get("/")?.ok()?;
        let metrics = t.metrics_until("a histogram of GET", |now| count(now) > 0.0)?;
        let last = metrics.value("function_duration_seconds_bucket", &[("method", "GET"), ("le", "+Inf")]);
        expect(same(last, count(&metrics)), format!("{} in +Inf", count(&metrics)), format!("{last}"))
    }),
    should("metrics.4/slow-call-is-in-no-small-bucket", "A call of 1 s is in no bucket below 1.", |t| {
        let small = |metrics: &Metrics| {
            metrics.value("function_duration_seconds_bucket", &[("method", "GET"), ("le", "0.5")])
        };
        let before = t.metrics()?;
        t.get("/?do=sleep&ms=1000")?.ok()?;
        let now = t.metrics_until("one observation more", |now| count(now) > count(&before))?;
        expect(
            same(small(&now), small(&before)),
            format!("{} in the bucket 0.5, as before", small(&before)),
            format!("{}", small(&now)),
        )
    })
    .on("work"),
    should("metrics.5/host-paths-are-no-calls", "/healthz, /readyz and /metrics are not counted.", |t| {
        uncounted(t, &[Request::get("/healthz"), Request::get("/readyz"), Request::get("/metrics")])
    }),
    should("metrics.5/preflights-are-no-calls", "A preflight is not counted.", |t| {
        let preflight = Request::new("OPTIONS", "/")
            .header("Origin", "https://a")
            .header("Access-Control-Request-Method", "PUT");
        uncounted(t, &[preflight])
    }),
    should("metrics.5/refused-bodies-are-no-calls", "A request that is answered 413 is not counted.", |t| {
        uncounted(t, &[Request::post("/", TEXT, vec![b'x'; 1024 * 1024 + 1])])
    }),
    should(
        "metrics.6/nothing-before-the-first-call",
        "Before the first call there is no series of the function's.",
        |t| {
            let metrics = t.metrics()?;
            let calls = metrics.samples.iter().any(|sample| sample.name.starts_with("function_"));
            expect(!calls, "no series that begins with function_", metrics.of_functions())
        },
    )
    .untouched(),
    should(
        "metrics.7/unheard-of-methods-share-a-label",
        "Methods that clients invent do not become labels.",
        |t| {
            for method in ["FROBNICATE", "TWIDDLE"] {
                t.send(&Request::new(method, "/"))?;
            }
            let metrics = t.metrics()?;
            let invented = metrics.calls("FROBNICATE") + metrics.calls("TWIDDLE");
            expect(same(invented, 0.0), "no label method=\"FROBNICATE\"", metrics.of_functions())
        },
    ),
    should("metrics.8/json-is-counted", "A call with JSON is counted like any other.", |t| {
        let before = t.metrics()?.calls("POST");
        t.send(&Request::post("/", JSON, "{}"))?.ok()?;
        t.metrics_until("one POST more", |now| same(now.calls("POST"), before + 1.0)).map(drop)
    }),
];

const GET: &[(&str, &str)] = &[("method", "GET")];

/// Counters hold whole numbers, which a float holds as they are; bounds are read from the same text.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

fn count(metrics: &Metrics) -> f64 {
    metrics.value("function_duration_seconds_count", GET)
}

fn bounds(metrics: &Metrics) -> Vec<f64> {
    let of_get = metrics.samples.iter().filter(|sample| {
        sample.name == "function_duration_seconds_bucket"
            && sample.labels.contains(&("method".to_owned(), "GET".to_owned()))
    });
    let bound = |labels: &[(String, String)]| labels.iter().find(|(name, _)| name == "le")?.1.parse().ok();
    of_get.filter_map(|sample| bound(&sample.labels)).collect()
}

fn counted(trial: &Trial<'_>, method: &str) -> Seen {
    let before = trial.metrics()?.calls(method);
    trial.send(&Request::new(method, "/"))?.ok()?;
    trial.metrics_until(&format!("one {method} more"), |now| same(now.calls(method), before + 1.0)).map(drop)
}

/// A call after these requests is counted, and they are not.
fn uncounted(trial: &Trial<'_>, requests: &[Request]) -> Seen {
    let before = trial.metrics()?.all_calls();
    for request in requests {
        trial.send(request)?;
    }
    trial.get("/")?.ok()?;
    let now = trial.metrics_until("the call that came after", |now| now.all_calls() > before)?.all_calls();
    // One that is counted late shows as well.
    if same(now, before + 1.0) {
        Ok(())
    } else {
        Err(Problem::failed("one call more", format!("{} more", now - before)))
    }
}
