//! HTTP on the way in: connections, parsing rules, routes, bodies, and the one place where an error becomes a
//! response.

mod answer;
mod body;
mod connection;
mod cors;
mod fields;
mod function;
mod inflate;
mod inlet;
mod intake;
mod listener;
mod problem;
mod router;
mod service;
mod source;
mod strict;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use listener::{Connections, Listener};
pub(crate) use router::App;
