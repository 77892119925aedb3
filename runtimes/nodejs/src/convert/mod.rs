//! From a call to JavaScript's arguments, and from what JavaScript gives back to a reply.
//!
//! How a function is called is chosen once, when it is loaded. There is one way so far, that of Kubeless:
//! `handler(event, context)`.

mod etag;
mod event;
mod reply;
mod text;

use text::text;

pub(crate) use event::{Arguments, arguments, buffer, headers, target};
pub(crate) use reply::{Meaning, head, meaning, piece};
