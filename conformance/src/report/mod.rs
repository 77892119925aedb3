//! A run as something to read: for programs ([`json`], [`junit`]), for people ([`html`], [`terminal`], [`markdown`]),
//! and as a sign for a page ([`badge`]).
//!
//! Everything here is made from a [`Report`](crate::result::Report) alone. What a target has sent or logged is hostile
//! until it has gone through [`text::visible`] and the template's escaping.

pub mod markdown;
pub mod terminal;

mod badge;
mod html;
mod json;
mod junit;
mod template;
mod text;
mod view;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use badge::badge;
pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::table;
