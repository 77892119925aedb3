//! Asking a running host whether it is alive: for the health check of a container that has no other HTTP client.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use contract::env::{FUNC_ADDRESS, FUNC_PORT, Settings, Variables};

use crate::exit::Exit;

/// How long the host may take for each step: less than any supervisor gives a check.
const PATIENCE: Duration = Duration::from_secs(2);

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// What an answer begins with that says yes.
const ALIVE: &[u8] = b"HTTP/1.1 200 ";

/// Asks the host that was started with the same variables; says on standard error why the answer is no.
///
/// Nothing goes to the termination message: that is the running host's.
pub(crate) fn run(name: &str, variables: &impl Variables) -> Exit {
    let (exit, problem) = match address(variables) {
        Err(problem) => (Exit::Usage, problem),
        Ok(address) => match ask(address) {
            Ok(()) => return Exit::Done,
            Err(problem) => (Exit::Unhealthy, format!("{address} is not healthy: {problem}")),
        },
    };
    let _ = io::stderr().write_all(format!("funchost-{name} --probe: {problem}\n").as_bytes());
    exit
}

/// Where the host can be reached from its own container.
fn address(variables: &impl Variables) -> Result<SocketAddr, String> {
    let settings = Settings::read_rows([&FUNC_ADDRESS, &FUNC_PORT], variables).map_err(|mistakes| {
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") //
    })?;
    let port = settings.number(&FUNC_PORT).and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    if port == 0 {
        return Err(
            "FUNC_PORT is 0, so the host has taken any free port; allowed with --probe: 1 to 65535".into()
        );
    }
    let address = settings.text(&FUNC_ADDRESS).unwrap_or_default().parse();
    let address = match address.unwrap_or_else(|_| unreachable!("an address is validated")) {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    Ok(SocketAddr::new(address, port))
}

fn ask(address: SocketAddr) -> Result<(), String> {
    let answer = exchange(address).map_err(|error| error.to_string())?;
    if answer == ALIVE {
        return Ok(());
    }
    Err(format!("the answer began with \"{}\"", answer.escape_ascii()))
}

/// Sends the request; returns as much of the answer as tells.
fn exchange(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.take(ALIVE.len() as u64).read_to_end(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::TcpListener, thread};

    use super::*;

    fn probe(address: &str, port: u16) -> Exit {
        let port = port.to_string();
        run("fake", &BTreeMap::from([("FUNC_ADDRESS", address), ("FUNC_PORT", port.as_str())]))
    }

    /// A server that says this to everybody; returns its port.
    fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; REQUEST.len()];
                stream.read_exact(&mut request).unwrap();
                assert_eq!(request, REQUEST);
                stream.write_all(answer).unwrap();
            }
        });
        port
    }

    #[test]
    fn only_200_is_healthy() {
        assert_eq!(probe("0.0.0.0", server(b"HTTP/1.1 200 OK\r\n\r\n")), Exit::Done);
        for other in [&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], b"", b"HTTP/1.1 2", b"SSH-2.0-\r\n"] {
            assert_eq!(probe("127.0.0.1", server(other)), Exit::Unhealthy, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert_eq!(probe("127.0.0.1", free), Exit::Unhealthy);
    }

    #[test]
    fn a_port_that_is_not_known_is_a_mistake() {
        assert_eq!(probe("127.0.0.1", 0), Exit::Usage);
        let wrong = BTreeMap::from([("FUNC_ADDRESS", "here"), ("FUNC_PORT", "http")]);
        let problem = address(&wrong).unwrap_err();
        assert!(
            problem.contains("FUNC_ADDRESS has the value") && problem.contains("FUNC_PORT has"),
            "{problem}"
        );
    }

    #[test]
    fn every_address_of_the_machine_is_reached_by_the_loopback_one() {
        let of = |address| super::address(&BTreeMap::from([("FUNC_ADDRESS", address)])).unwrap().to_string();
        assert_eq!(of("0.0.0.0"), "127.0.0.1:8080");
        assert_eq!(of("::"), "[::1]:8080");
        assert_eq!(of("10.1.2.3"), "10.1.2.3:8080");
    }
}
