//! The conformance suite: SPEC.md as numbered requirements, checks that hold a target to them, reports.
//!
//! It depends on no other crate of this workspace. It says the contract again in its own words, so that a mistake in
//! the hosts cannot make itself pass.

pub mod check;
pub mod checks;
pub mod claims;
pub mod cli;
pub mod coverage;
pub mod fixtures;
pub mod http;
pub mod metrics;
pub mod problem;
pub mod report;
pub mod result;
pub mod run;
pub mod spec;
pub mod target;
pub mod trial;
pub mod verdict;
