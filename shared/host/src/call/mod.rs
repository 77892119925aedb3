//! What every protocol on the way in shares: a place among the running calls, the deadline, and the end of a call
//! however it comes. Nothing here knows of HTTP statuses.

mod admission;
mod place;
mod record;
mod running;

pub(crate) use admission::{Admission, Full};
pub(crate) use place::CallState;
pub(crate) use record::{Outcome, Record};
pub(crate) use running::{Ended, Leash, Running};
