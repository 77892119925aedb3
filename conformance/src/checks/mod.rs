//! The checks, one file for each area of SPEC.md, in its order.
//!
//! They ask what a client, an operator or a function can see, and nothing else: none looks at who made the target.

mod concurrency;
mod cors;
mod data;
mod deadline;
mod drain;
mod errors;
mod event;
mod health;
mod limits;
mod load;
mod logs;
mod methods;
mod metrics;
mod reply;
mod security;
mod tools;
mod trace;

use crate::check::Check;

const AREAS: &[&[Check]] = &[
    load::CHECKS,
    health::CHECKS,
    event::CHECKS,
    data::CHECKS,
    reply::CHECKS,
    errors::CHECKS,
    methods::CHECKS,
    cors::CHECKS,
    limits::CHECKS,
    deadline::CHECKS,
    concurrency::CHECKS,
    metrics::CHECKS,
    logs::CHECKS,
    trace::CHECKS,
    drain::CHECKS,
    security::CHECKS,
];

/// All checks, in the order of SPEC.md.
pub fn all() -> Vec<&'static Check> {
    AREAS.iter().copied().flatten().collect()
}

/// All capabilities that there are checks for.
pub fn capabilities() -> Vec<&'static str> {
    let mut names: Vec<_> = all().into_iter().filter_map(|check| check.needs).collect();
    names.sort_unstable();
    names.dedup();
    names
}
