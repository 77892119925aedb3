//! The Python host as its users see it: the real binary, a mount, requests over HTTP.

mod deadline;
mod errors;
mod event;
mod examples;
mod faults;
mod loading;
mod many;
mod output;
mod pythons;
mod request;
mod returns;
mod streams;
mod support;
