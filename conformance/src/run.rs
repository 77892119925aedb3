//! A run: which checks, in which instances, at the same time, and what comes of them.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use crate::check::{Check, Demands};
use crate::fixtures::Unprepared;
use crate::problem::{Problem, Seen};
use crate::result::{CheckResult, Evidence, Outcome, TargetKind};
use crate::spec::spec;
use crate::target::Instance;
use crate::trial::{self, Context, Trial};

/// Somebody who watches a run.
pub trait Observer: Sync {
    /// These checks will be run.
    fn planned(&self, checks: &[&'static Check]);

    /// One of them has ended.
    fn done(&self, result: &CheckResult);
}

/// What a run is asked for.
pub struct Plan<'a> {
    /// All checks that there are, in their order.
    pub checks: Vec<&'static Check>,
    /// Prefixes of ids; all checks when there are none.
    pub only: &'a [String],
    /// Prefixes of ids that are left out.
    pub skip: &'a [String],
    /// What the target claims.
    pub claims: &'a [String],
    /// The fixture that a server which runs already was given.
    pub fixture: Option<&'a str>,
    /// How many groups of checks run at the same time.
    pub jobs: usize,
}

impl Plan<'_> {
    /// What becomes of a check without running it.
    fn without_running(&self, check: &Check, kind: TargetKind) -> Option<Outcome> {
        if !self.only.is_empty() && !self.only.iter().any(|prefix| check.is_selected_by(prefix)) {
            return Some(Outcome::Skipped("it was not selected".to_owned()));
        }
        if let Some(prefix) = self.skip.iter().find(|prefix| check.is_selected_by(prefix)) {
            return Some(Outcome::Skipped(format!("it was left out: --skip {prefix}")));
        }
        if let Some(capability) = check.needs
            && !self.claims.iter().any(|claimed| claimed == capability)
        {
            return Some(Outcome::NotClaimed);
        }
        if kind != TargetKind::Url {
            return None;
        }
        let why = match check {
            Check { demands: Demands { logs: true, .. }, .. } => {
                "it reads the log, which a URL does not show".to_owned()
            }
            Check {
                demands: Demands { alone: false, starts: false, .. }, environment: [], fixture, ..
            } => {
                if self.fixture == Some(fixture) {
                    return None;
                }
                format!("the server at the URL was not said to have the fixture {fixture} (--fixture)")
            }
            _ => "it starts instances of its own, which a URL does not allow".to_owned(),
        };
        Some(Outcome::Skipped(why))
    }
}

/// Runs the checks of a plan. The results are in the order of `plan.checks`.
pub fn run(plan: &Plan<'_>, context: &Context<'_>, observer: &dyn Observer) -> Vec<CheckResult> {
    let kind = context.target.kind();
    let mut results: Vec<Option<CheckResult>> = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (place, check) in plan.checks.iter().enumerate() {
        results.push(plan.without_running(check, kind).map(|outcome| result(check, outcome, 0.0, None)));
        if results[place].is_some() {
            continue;
        }
        let shares = |group: &&mut Vec<usize>| {
            let other = plan.checks[group[0]];
            let demands = [check.demands, other.demands];
            demands.iter().all(|demands| !demands.alone && !demands.starts)
                && (other.fixture, other.environment) == (check.fixture, check.environment)
        };
        match groups.iter_mut().find(shares) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    let planned: Vec<_> = groups.iter().flatten().map(|&place| plan.checks[place]).collect();
    observer.planned(&planned);
    // The longest first: what begins last should not be what takes longest.
    groups.sort_by_key(|group| group.len());
    let waiting = Mutex::new(groups);
    let results = Mutex::new(results);
    let starts = Starts::default();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    // By itself, so that the lock is not held while the group runs.
                    let next = locked(&waiting).pop();
                    let Some(group) = next else { break };
                    let mut instance = None;
                    for place in group {
                        let result = one(plan.checks[place], context, &mut instance, &starts, place);
                        observer.done(&result);
                        locked(&results)[place] = Some(result);
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !starts.any.into_inner() {
        // Nothing came up, whatever it was given: there was nothing to look at.
        for place in starts.none.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(result) = &mut results[place]
                && let Some(evidence) = &result.evidence
            {
                result.outcome = Outcome::Error(evidence.actual.clone());
            }
        }
    }
    results.into_iter().flatten().collect()
}

/// Which instances have come up.
#[derive(Default)]
struct Starts {
    /// Whether any has.
    any: AtomicBool,
    /// The checks whose instance has not.
    none: Mutex<Vec<usize>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One check, in the instance that its group shares, which is started when there is none or it has ended.
fn one(
    check: &'static Check,
    context: &Context<'_>,
    shared: &mut Option<Arc<dyn Instance>>,
    starts: &Starts,
    place: usize,
) -> CheckResult {
    let began = Moment::now();
    let ended = |outcome, evidence| result(check, outcome, began.elapsed().as_secs_f64(), evidence);
    let instance = if check.demands.starts {
        None
    } else {
        if shared.as_ref().is_none_or(|instance| instance.exit_status().is_some()) {
            match prepared(check, context) {
                Ok(instance) => {
                    starts.any.store(true, Ordering::Relaxed);
                    *shared = Some(instance);
                }
                Err(Problem::Broken(reason)) => return ended(Outcome::Error(reason), None),
                Err(Problem::Failed(evidence)) => {
                    locked(&starts.none).push(place);
                    return ended(Outcome::Failed, Some(*evidence));
                }
            }
        }
        shared.clone()
    };
    let trial = Trial { context, check, instance };
    // A check that panics is a mistake of the suite, and none of the others' business.
    let seen: Seen =
        std::panic::catch_unwind(AssertUnwindSafe(|| (check.run)(&trial))).unwrap_or_else(|_| {
            Err(Problem::broken("the check itself has failed: its message is on standard error"))
        });
    match seen {
        Ok(()) => ended(Outcome::Passed, None),
        Err(Problem::Broken(reason)) => ended(Outcome::Error(reason), None),
        Err(Problem::Failed(mut evidence)) => {
            if evidence.log.is_none()
                && let Some(instance) = &trial.instance
            {
                evidence.log = log_of(instance.as_ref(), evidence.request.as_deref());
            }
            // Whatever it did may have harmed those that come after.
            *shared = None;
            ended(Outcome::Failed, Some(*evidence))
        }
    }
}

/// The end of what an instance has written. Its line about the request, which most servers write with the request's first line,
/// may come a moment after the answer.
fn log_of(instance: &dyn Instance, request: Option<&str>) -> Option<String> {
    let asked = request.and_then(|request| request.lines().next()).unwrap_or_default();
    let told = || Some(instance.output().tail()).filter(|log| log.contains(asked));
    let log = trial::wait(Duration::from_secs(1), told).unwrap_or_else(|| instance.output().tail());
    (!log.is_empty()).then_some(log)
}

/// An instance for a check. A server that does not come up with what it is given has failed the check.
fn prepared(check: &Check, context: &Context<'_>) -> Result<Arc<dyn Instance>, Problem> {
    let mount = match context.target.kind() {
        TargetKind::Url => std::path::PathBuf::new(),
        _ => context.fixtures.prepared(check.fixture).map_err(|why| match why {
            Unprepared::Refused(reason) | Unprepared::Broken(reason) => Problem::Broken(reason),
        })?,
    };
    let instance = trial::start(context, check, &mount, &Vec::new()).map_err(Problem::Broken)?;
    trial::ready(&*instance, check.demands.untouched)?;
    Ok(instance)
}

fn result(check: &Check, outcome: Outcome, seconds: f64, evidence: Option<Evidence>) -> CheckResult {
    CheckResult {
        id: check.id.to_owned(),
        summary: check.summary.to_owned(),
        requirement: check.requirement().to_owned(),
        text: spec()
            .find(check.requirement())
            .map(|requirement| requirement.text.clone())
            .unwrap_or_default(),
        level: check.level,
        capability: check.needs.map(str::to_owned),
        fixture: Some(check.fixture.to_owned()),
        outcome,
        seconds,
        evidence,
    }
}
