//! Ports for instances.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// A port that nobody listens on, below those that systems hand out by themselves, and never the same twice in a run.
pub(super) fn free() -> Result<u16, String> {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    const FIRST: u16 = 12000;
    const LAST: u16 = 31999;
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Two runs at the same time begin in different places.
    let mut port = next.unwrap_or_else(|| fastrand::u16(FIRST..=LAST));
    for _ in FIRST..=LAST {
        port = if port >= LAST { FIRST } else { port + 1 };
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            *next = Some(port);
            return Ok(port);
        }
    }
    Err(format!("no port from {FIRST} to {LAST} is free"))
}
