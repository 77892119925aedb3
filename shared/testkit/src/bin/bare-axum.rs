//! The floor for benchmarks of the core: axum alone, with the same routes as a host and answers like those of the fake
//! engine. Listens on the loopback port given as its only argument.

// For its allocator: both sides of the comparison use the same one.
use host as _;

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    routing::{any, get},
};

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4));
    let mut runtime = match cpus {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(async {
        let routes = Router::new()
            .route("/healthz", get(|| async { "OK" }))
            .route("/readyz", get(|| async { "OK" }))
            .route("/metrics", get(|| async { "" }))
            .route("/echo", any(|body: Bytes| async { body }))
            .route(
                "/wait",
                get(|| async {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    "slept"
                }),
            )
            .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .fallback(|| async { ([(header::CONTENT_TYPE, "text/plain")], "hello") });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(axum::serve::ListenerExt::tap_io(listener, |io| drop(io.set_nodelay(true))), routes).await
    })
}
