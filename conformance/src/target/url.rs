//! A server that runs already.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use super::{Environment, Instance, Output, Signal, Target};
use crate::claims::Description;
use crate::result::TargetKind;

/// A server that somebody else has started, with one fixture.
#[derive(Debug)]
pub struct Url {
    given: String,
    address: SocketAddr,
}

impl Url {
    /// From `http://host:port`; the port is 80 when it is not there.
    pub fn new(given: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("--url {given}: {why}; allowed: http://host:port");
        let rest = given.strip_prefix("http://").ok_or_else(|| wrong("it does not begin with http://"))?;
        let rest = rest.trim_end_matches('/');
        if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("it is not a host and a port alone"));
        }
        let is_complete = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let name = if is_complete { rest.to_owned() } else { format!("{rest}:80") };
        let address = name
            .to_socket_addrs()
            .map_err(|problem| wrong(&problem.to_string()))?
            .next()
            .ok_or_else(|| wrong("the name has no address"))?;
        Ok(Self { given: given.to_owned(), address })
    }
}

impl Target for Url {
    fn kind(&self) -> TargetKind {
        TargetKind::Url
    }

    fn address(&self) -> String {
        self.given.clone()
    }

    fn describe(&self) -> Result<Description, String> {
        Ok(Description::default())
    }

    fn start(&self, _: &Path, _: &Environment) -> Result<Box<dyn Instance>, String> {
        Ok(Box::new(Running(self.address)))
    }
}

struct Running(SocketAddr);

impl Instance for Running {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn output(&self) -> Output {
        Output::default()
    }

    fn signal(&self, _: Signal) -> Result<(), String> {
        Err("a server that runs already is not the suite's to end".to_owned())
    }

    fn exit_status(&self) -> Option<i32> {
        None
    }

    fn termination_log(&self) -> String {
        String::new()
    }
}
