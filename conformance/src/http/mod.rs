//! A client that sends exactly what it is told to and shows exactly what came back.
//!
//! Client libraries mend, join and hide: the suite must be able to send what is wrong, and to see that an answer is.

mod connection;
mod exchange;
mod request;

pub use connection::Connection;
pub use exchange::{Exchange, Reply};
pub use request::Request;

/// Bytes as a report shows them: text cut short, and everything that is no text as `.`.
pub(crate) fn show(bytes: &[u8]) -> String {
    const SHOWN: usize = 1500;
    let mut text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)])
        .chars()
        .map(
            |sign| if sign.is_control() && sign != '\n' && sign != '\r' && sign != '\t' { '.' } else { sign },
        )
        .filter(|sign| *sign != '\r')
        .collect();
    if bytes.len() > SHOWN {
        text += &format!("\n... ({} bytes in all)", bytes.len());
    }
    text
}
