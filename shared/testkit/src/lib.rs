//! What the tests of funchost share.

#![forbid(unsafe_code)]

mod fake;

pub use fake::{FakeEngine, Seen};
