//! The Node.js host as its users see it: the real binary, a mount, requests over HTTP.

mod crypto;
mod deadline;
mod errors;
mod event;
mod examples;
mod faults;
mod install;
mod loading;
mod many;
mod memory;
mod modules;
mod output;
mod packages;
mod request;
mod response;
mod returns;
mod shutdown;
mod snapshot;
mod soak;
mod streams;
mod support;
