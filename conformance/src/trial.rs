//! What a check works with: its instance, and the words it asks questions in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use crate::check::Check;
use crate::fixtures::{Fixtures, Unprepared};
use crate::http::{Connection, Exchange, Request};
use crate::metrics::Metrics;
use crate::problem::{Problem, Seen};
use crate::target::{Environment, Instance, Signal, Target, function_variables, merged};

/// How long the suite waits for what has to happen some time. No promise is this long: a machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// How long a server may answer /healthz with something else than 200 and 503 before it is taken as it is.
const STRANGE: Duration = Duration::from_secs(3);
/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// What all checks of a run have in common.
pub struct Context<'a> {
    /// What is looked at.
    pub target: &'a dyn Target,
    /// The functions.
    pub fixtures: &'a Fixtures,
    /// Environment variables for every instance.
    pub environment: &'a Environment,
}

/// One check while it runs.
pub struct Trial<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) check: &'a Check,
    /// None when the check starts instances itself.
    pub(crate) instance: Option<Arc<dyn Instance>>,
}

impl Trial<'_> {
    /// The instance that the check was given.
    pub fn instance(&self) -> Result<&dyn Instance, Problem> {
        self.instance.as_deref().ok_or_else(|| Problem::broken("the check has no instance"))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr, Problem> {
        Ok(self.instance()?.address())
    }

    /// A connection to it.
    pub fn connect(&self) -> Result<Connection, Problem> {
        Connection::open(self.address()?)
    }

    /// Sends a request over a connection of its own.
    pub fn send(&self, request: &Request) -> Result<Exchange, Problem> {
        self.connect()?.exchange(request)
    }

    /// `GET target`.
    pub fn get(&self, target: &str) -> Result<Exchange, Problem> {
        self.send(&Request::get(target))
    }

    /// Sends bytes as they are, and reads an answer.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Result<Exchange, Problem> {
        let mut connection = self.connect()?;
        connection.write(bytes);
        connection.answer("GET")
    }

    /// `/metrics`, read.
    pub fn metrics(&self) -> Result<Metrics, Problem> {
        let exchange = self.get("/metrics")?;
        exchange.ok()?;
        Metrics::parse(&exchange.text())
            .map_err(|problem| exchange.problem("metrics in Prometheus' text format", problem))
    }

    /// What `/metrics` shows once `holds`, which it must some time: a call may be counted just after its answer.
    pub fn metrics_until(
        &self,
        expected: &str,
        holds: impl Fn(&Metrics) -> bool,
    ) -> Result<Metrics, Problem> {
        let mut last = Ok(Metrics::default());
        let found = wait(Duration::from_secs(10), || match self.metrics() {
            Ok(metrics) if holds(&metrics) => Some(metrics),
            other => {
                last = other;
                None
            }
        });
        match (found, last) {
            (Some(metrics), _) => Ok(metrics),
            (None, Ok(last)) => {
                Err(Problem::failed(expected, format!("/metrics shows\n{}", last.of_functions())))
            }
            (None, Err(problem)) => Err(problem),
        }
    }

    /// What the instance writes once `holds`, which it must some time.
    pub fn log_until(&self, expected: &str, holds: impl Fn(&str) -> bool) -> Result<String, Problem> {
        let instance = self.instance()?;
        let written = wait(PATIENCE / 2, || Some(instance.output().all()).filter(|all| holds(all)));
        written.ok_or_else(|| Problem::failed(expected, "it is not in the log"))
    }

    /// The line of standard output in which `holds`, which must be there some time.
    pub fn line_until(&self, expected: &str, holds: impl Fn(&str) -> bool) -> Result<String, Problem> {
        let instance = self.instance()?;
        let found = wait(PATIENCE / 2, || {
            instance.output().stdout.lines().find(|line| holds(line)).map(str::to_owned)
        });
        found.ok_or_else(|| Problem::failed(expected, "there is no such line on standard output"))
    }

    /// Tells the instance to end.
    pub fn signal(&self, signal: Signal) -> Seen {
        self.instance()?.signal(signal).map_err(Problem::Broken)
    }

    /// Its exit status, which must be there within this time.
    pub fn exit_within(&self, within: Duration) -> Result<i32, Problem> {
        let instance = self.instance()?;
        wait(within, || instance.exit_status())
            .ok_or_else(|| Problem::failed(format!("an end within {} s", within.as_secs()), "it still runs"))
    }

    /// Prepares the check's fixture and starts an instance with `environment` instead of waiting for readiness. What is
    /// named with an empty value is set, and empty.
    pub fn start(&self, environment: &[(&str, &str)]) -> Result<Attempt, Problem> {
        let mount = match self.context.fixtures.prepared(self.check.fixture) {
            Ok(mount) => mount,
            Err(Unprepared::Refused(said)) => return Ok(Attempt::Refused(said)),
            Err(Unprepared::Broken(reason)) => return Err(Problem::Broken(reason)),
        };
        let own: Environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let instance = start(self.context, self.check, &mount, &own).map_err(Problem::Broken)?;
        Ok(Attempt::Started(instance))
    }

    /// The same trial with an instance that the check has started itself, once it answers `/healthz`.
    pub fn started(&self, environment: &[(&str, &str)]) -> Result<Self, Problem> {
        let expected = "a server that starts";
        match self.start(environment)? {
            Attempt::Refused(said) => Err(Problem::failed(expected, said)),
            Attempt::Started(instance) => {
                ready(&*instance, false)?;
                Ok(Self { instance: Some(instance), ..*self })
            }
        }
    }
}

/// What came of an attempt to start.
pub enum Attempt {
    /// The build step has refused the function, and said this.
    Refused(String),
    /// An instance, which may or may not come up.
    Started(Arc<dyn Instance>),
}

/// An instance that has ended, or a build step that has refused.
pub struct Ended {
    /// The exit status; nothing where the build step has refused.
    pub status: Option<i32>,
    /// All that was written.
    pub said: String,
    /// What was told to Kubernetes; with a refusal, what was written.
    pub told: String,
}

impl Attempt {
    /// Waits until it has ended, as it must.
    pub fn ended(self) -> Result<Ended, Problem> {
        match self {
            Self::Refused(said) => Ok(Ended { status: None, told: said.clone(), said }),
            Self::Started(instance) => {
                let status = wait(PATIENCE, || instance.exit_status()).ok_or_else(|| {
                    let log = instance.output().tail();
                    let mut problem = Problem::failed("the process ends, and says why", "it runs on");
                    if let Problem::Failed(evidence) = &mut problem {
                        evidence.log = Some(log);
                    }
                    problem
                })?;
                Ok(Ended {
                    status: Some(status),
                    said: instance.output().all(),
                    told: instance.termination_log(),
                })
            }
        }
    }
}

/// What `look` finds, if it does within this time.
pub fn wait<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Moment::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Moment::now() > end {
            return None;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a process of somebody else tells nobody what it does"
        )]
        std::thread::sleep(INTERVAL);
    }
}

/// Starts an instance for a check.
pub(crate) fn start(
    context: &Context<'_>,
    check: &Check,
    mount: &Path,
    own: &Environment,
) -> Result<Arc<dyn Instance>, String> {
    let fixed =
        check.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = merged(&merged(&merged(&function_variables(), context.environment), &fixed), own);
    context.target.start(mount, &environment).map(Arc::from)
}

/// Waits until an instance is alive, and has loaded its function if that can be asked for. A server that answers, but
/// neither that it lives nor that it is not ready yet, has been given long enough: checks tell what is wrong with it.
pub(crate) fn ready(instance: &dyn Instance, untouched: bool) -> Result<(), Problem> {
    let status = |path: &str| -> Option<u16> {
        let mut connection = Connection::open(instance.address()).ok()?;
        connection.exchange(&Request::get(path)).ok().map(|exchange| exchange.reply.status)
    };
    let mut answers_since = None;
    let outcome = wait(PATIENCE, || {
        if let Some(exit) = instance.exit_status() {
            return Some(Err(format!("it ended with status {exit} before it was ready")));
        }
        match status("/healthz") {
            // A server without `/readyz` gives the path to the function: every answer but a refusal will do.
            Some(200) => {
                (untouched || status("/readyz").is_some_and(|status| status != 503)).then_some(Ok(()))
            }
            None | Some(503) => None,
            Some(_) => (answers_since.get_or_insert_with(Moment::now).elapsed() > STRANGE).then_some(Ok(())),
        }
    });
    outcome.unwrap_or_else(|| Err(format!("it was not ready after {} s", PATIENCE.as_secs()))).map_err(
        |reason| {
            let mut problem = Problem::failed("a server that comes up", reason);
            if let Problem::Failed(evidence) = &mut problem {
                evidence.log = Some(instance.output().tail());
            }
            problem
        },
    )
}
