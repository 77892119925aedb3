//! The conformance suite: SPEC.md as numbered requirements, checks that hold a target to them, reports.
//!
//! It depends on no other crate of this workspace. It says the contract again in its own words, so that a mistake in
//! the hosts cannot make itself pass.

pub mod report;
pub mod result;
