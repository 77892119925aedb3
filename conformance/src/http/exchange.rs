//! A request with its answer, and what can be asked of it.

use super::show;
use crate::problem::{Problem, Seen};

/// An answer, as it came.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The final status.
    pub status: u16,
    /// Statuses from 100 to 199 that came before it.
    pub interim: Vec<u16>,
    /// All header fields, in their order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether the body came to the end that its framing announces.
    pub complete: bool,
    /// The head's bytes.
    pub(super) head: Vec<u8>,
}

impl Reply {
    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A request and what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// As it was sent.
    pub request: Vec<u8>,
    /// As it came.
    pub reply: Reply,
}

impl Exchange {
    /// Fails with what was sent and what came.
    pub fn problem(&self, expected: impl Into<String>, actual: impl Into<String>) -> Problem {
        let mut response = show(&self.reply.head);
        response += &show(&self.reply.body);
        if !self.reply.complete {
            response += "\n(the connection ended before the body did)";
        }
        Problem::failed(expected, actual).with(&show(&self.request), &response)
    }

    /// Fails unless `holds`.
    pub fn expect(&self, holds: bool, expected: impl Into<String>, actual: impl Into<String>) -> Seen {
        if holds { Ok(()) } else { Err(self.problem(expected, actual)) }
    }

    /// The status is this one.
    pub fn status(&self, status: u16) -> Result<&Self, Problem> {
        self.expect(
            self.reply.status == status,
            format!("status {status}"),
            format!("status {}", self.reply.status),
        )?;
        Ok(self)
    }

    /// The status is one of these.
    pub fn status_in(&self, statuses: &[u16]) -> Result<&Self, Problem> {
        let words: Vec<_> = statuses.iter().map(u16::to_string).collect();
        let holds = statuses.contains(&self.reply.status);
        self.expect(
            holds,
            format!("status {}", words.join(" or ")),
            format!("status {}", self.reply.status),
        )?;
        Ok(self)
    }

    /// 200, and the whole body came.
    pub fn ok(&self) -> Result<&Self, Problem> {
        self.status(200)?.complete()
    }

    /// The body came to its end.
    pub fn complete(&self) -> Result<&Self, Problem> {
        self.expect(
            self.reply.complete,
            "a body that comes to its end",
            "the connection ended before the body did",
        )?;
        Ok(self)
    }

    /// The body is this.
    pub fn body(&self, body: impl AsRef<[u8]>) -> Result<&Self, Problem> {
        let body = body.as_ref();
        self.expect(
            self.reply.body == body,
            format!("the body {:?}", show(body)),
            format!("the body {:?}", show(&self.reply.body)),
        )?;
        Ok(self)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.reply.body).into_owned()
    }

    /// The field is there once, with this value.
    pub fn header(&self, name: &str, value: &str) -> Result<&Self, Problem> {
        let all: Vec<_> = self.reply.all(name).collect();
        self.expect(all == [value], format!("the header {name}: {value}"), format!("{name}: {all:?}"))?;
        Ok(self)
    }

    /// The field is not there.
    pub fn no_header(&self, name: &str) -> Result<&Self, Problem> {
        let all: Vec<_> = self.reply.all(name).collect();
        self.expect(all.is_empty(), format!("no header {name}"), format!("{name}: {all:?}"))?;
        Ok(self)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        serde_json::from_slice(&self.reply.body).map_err(|problem| {
            self.problem("a body that is JSON", format!("{problem}: {:?}", show(&self.reply.body)))
        })
    }
}
