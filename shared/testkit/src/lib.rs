//! What the tests of every part share.
//!
//! [`FakeEngine`] stands in for a language, [`process`] starts a host's binary on a mount and ends it whatever the
//! test does, [`client`] talks to it.

#![forbid(unsafe_code)]

pub mod client;
pub mod examples;
mod fake;
pub mod faults;
pub mod process;
mod worst;

pub use client::{Answer, Client};
pub use fake::{FakeEngine, Seen};
pub use process::{Finished, HostProcess, Launch, Mount};
