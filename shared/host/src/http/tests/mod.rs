//! The HTTP side against the fake engine: in-memory connections, a clock that only moves when everybody waits.

mod calls;
mod client;
mod contract;
mod http2;
mod limits;
mod slow;
mod strict;
mod uploads;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use testkit::FakeEngine;
use tokio::io::DuplexStream;

use self::client::Client;
use super::{connection, router::App, service::Front};
use crate::{config::Config, language::Language, lifecycle::Lifecycle, metrics::Metrics};

/// A host without a socket: connections are pipes.
struct TestHost {
    app: Arc<App>,
    front: Arc<Front>,
    engine: FakeEngine,
}

/// A host that has loaded its function.
fn host(variables: &[(&'static str, &'static str)]) -> TestHost {
    let host = loading(variables);
    host.load();
    host
}

/// A host whose function takes bodies as they come.
fn streaming(variables: &[(&'static str, &'static str)]) -> TestHost {
    let host = TestHost { engine: FakeEngine::that_streams_requests(), ..loading(variables) };
    host.load();
    host
}

/// A host that has not loaded its function.
fn loading(variables: &[(&'static str, &'static str)]) -> TestHost {
    let mut all =
        BTreeMap::from([("MOD_NAME", "fake"), ("FUNC_HANDLER", "handler"), ("FUNC_ACCESS_LOG", "off")]);
    all.extend(variables.iter().copied());
    let (config, _) = Config::read(&Language::of::<FakeEngine>(), &all).unwrap();
    let app = Arc::new(App::new(config, Arc::new(Metrics::for_test()), Lifecycle::new()));
    TestHost { front: Arc::new(Front::new(app.clone())), app, engine: FakeEngine::default() }
}

impl TestHost {
    fn load(&self) {
        self.app.loaded("fake", Arc::new(self.engine.clone()), Duration::from_millis(20));
    }

    /// A new connection.
    fn connect(&self) -> Client {
        self.connect_with_buffer(64 * 1024)
    }

    /// A new connection that takes so many bytes before the host has to wait for the client.
    fn connect_with_buffer(&self, bytes: usize) -> Client {
        Client::new(self.pipe(bytes))
    }

    /// The client's end of a new connection.
    fn pipe(&self, bytes: usize) -> DuplexStream {
        let (near, far) = tokio::io::duplex(bytes);
        let protocols = Arc::new(connection::protocols(&self.app.config.wire));
        let remote = ([127, 0, 0, 1], 4711).into();
        tokio::spawn(connection::serve(self.front.clone(), protocols, far, remote));
        near
    }

    /// The value of a metric's sample, `name{labels}` as it stands in the text.
    fn metric(&self, sample: &str) -> Option<f64> {
        let text = String::from_utf8(self.app.metrics.render()).unwrap();
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == sample))?;
        line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok())
    }

    /// Lets everybody else run until a metric has a value.
    async fn until_metric(&self, sample: &str, value: f64) {
        let patience = tokio::time::Instant::now() + Duration::from_secs(120);
        while self.metric(sample) != Some(value) {
            let now = tokio::time::Instant::now();
            assert!(now < patience, "{sample} stays at {:?}", self.metric(sample));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
