//! What a check is.

use crate::problem::Seen;
use crate::result::Level;
use crate::trial::Trial;

/// One check. Its id is permanent: a check that is dropped leaves a gap, and none is renamed.
#[derive(Clone, Copy)]
pub struct Check {
    /// `area.n/slug`, where `area.n` is the requirement in SPEC.md.
    pub id: &'static str,
    /// How binding it is; the same as its requirement's.
    pub level: Level,
    /// What is done, and what must come of it, in a line.
    pub summary: &'static str,
    /// The capability that it belongs to, if not to the core.
    pub needs: Option<&'static str>,
    /// The function that the target is given.
    pub fixture: &'static str,
    /// Environment variables that the target is started with.
    pub environment: &'static [(&'static str, &'static str)],
    /// What it takes besides requests.
    pub demands: Demands,
    /// Does it.
    pub run: fn(&Trial<'_>) -> Seen,
}

/// What a check takes besides sending requests. A server that runs already can offer none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// It reads what the target writes.
    pub logs: bool,
    /// It harms its instance, or wants one that nobody has used: it gets one of its own.
    pub alone: bool,
    /// It starts instances itself.
    pub starts: bool,
    /// Nothing but `/healthz` may be asked for before it begins.
    pub untouched: bool,
}

impl Check {
    const fn new(id: &'static str, level: Level, summary: &'static str, run: fn(&Trial<'_>) -> Seen) -> Self {
        let demands = Demands { logs: false, alone: false, starts: false, untouched: false };
        Self { id, level, summary, needs: None, fixture: "event", environment: &[], demands, run }
    }

    /// The requirement's number in SPEC.md.
    pub fn requirement(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Whether a selection such as `health`, `health.2` or a whole id means this check.
    pub fn is_selected_by(&self, prefix: &str) -> bool {
        self.id
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']) || prefix.contains('/'))
    }

    pub(crate) const fn needs(mut self, capability: &'static str) -> Self {
        self.needs = Some(capability);
        self
    }

    pub(crate) const fn on(mut self, fixture: &'static str) -> Self {
        self.fixture = fixture;
        self
    }

    pub(crate) const fn env(mut self, environment: &'static [(&'static str, &'static str)]) -> Self {
        self.environment = environment;
        self
    }

    pub(crate) const fn logs(mut self) -> Self {
        self.demands.logs = true;
        self
    }

    pub(crate) const fn alone(mut self) -> Self {
        self.demands.alone = true;
        self
    }

    pub(crate) const fn starts(mut self) -> Self {
        self.demands.starts = true;
        self
    }

    pub(crate) const fn untouched(mut self) -> Self {
        self.demands.untouched = true;
        self.demands.alone = true;
        self
    }
}

pub(crate) const fn must(id: &'static str, summary: &'static str, run: fn(&Trial<'_>) -> Seen) -> Check {
    Check::new(id, Level::Must, summary, run)
}

pub(crate) const fn should(id: &'static str, summary: &'static str, run: fn(&Trial<'_>) -> Seen) -> Check {
    Check::new(id, Level::Should, summary, run)
}

pub(crate) const fn may(id: &'static str, summary: &'static str, run: fn(&Trial<'_>) -> Seen) -> Check {
    Check::new(id, Level::May, summary, run)
}
