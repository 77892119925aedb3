//! Responses, and what a function can give back.

use std::sync::mpsc::Receiver;

/// A piece of a reply that is sent while it is made; the end is an error or nothing.
pub(crate) type Pieces = Receiver<Result<Vec<u8>, ()>>;

pub(crate) enum Body {
    Whole(Vec<u8>),
    Stream(Pieces),
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(known, _)| known != name);
    }
}
