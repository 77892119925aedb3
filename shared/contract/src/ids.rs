//! The names a call is known by, in the log, to the function and to tracing systems.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::HeaderValue;

/// W3C trace context: the `traceparent` that the function sees and that every log line of its call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never all zero.
    pub trace_id: u128,
    /// 8 bytes, never zero: the server's own span, the parent of whatever the function starts.
    pub span_id: u64,
    /// Bit 0 says that the caller may have recorded the trace.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent` header value: version, trace id, parent id and flags, in lower-case hex.
    ///
    /// Versions above `00` may carry more fields, which are ignored, as the recommendation asks. Anything
    /// malformed is `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let span_id = hex(fields.next()?, 16)? as u64;
        let flags = hex(fields.next()?, 2)? as u8;
        let well_formed = version != 0xff && (version != 0 || fields.next().is_none());
        (well_formed && trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let ok = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ok.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Where the trace id stands in a `traceparent`.
const TRACE_ID: Range<usize> = 3..35;

impl TraceContext {
    /// The value of a `traceparent` header.
    pub fn to_header(&self) -> HeaderValue {
        header_value(self.to_bytes())
    }

    /// Every request gets one, so it is written without formatting machinery.
    fn to_bytes(self) -> Bytes {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[TRACE_ID], &self.trace_id.to_be_bytes());
        write_hex(&mut text[36..52], &self.span_id.to_be_bytes());
        write_hex(&mut text[53..], &[self.flags]);
        Bytes::from_owner(text)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// The two digits of each byte.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    pairs
};

/// Writes each byte as two digits.
fn write_hex(digits: &mut [u8], bytes: &[u8]) {
    for (digits, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
        *digits = HEX[usize::from(*byte)];
    }
}

fn header_value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text)
        .unwrap_or_else(|_| unreachable!("digits and dashes are visible ASCII"))
}

/// Names one request: visible ASCII, at most 128 characters, so it can stand in any header and any log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes a client's header value over as it is; `None` when it is empty, too long or not visible ASCII.
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fits = (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(value.clone()))
    }

    /// A request that came without an id is called what its trace is called.
    pub fn from_trace(trace: &TraceContext) -> Self {
        Self(header_value(trace.to_bytes().slice(TRACE_ID)))
    }

    /// For logs and for the function.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// For the response header.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// What ties the log lines of one call together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallIds {
    /// The caller's `X-Request-Id`, or one made for it.
    pub request_id: RequestId,
    /// The call's place in a distributed trace.
    pub trace: TraceContext,
}

impl CallIds {
    /// The names of a request, with its own id if it has brought one, and the `traceparent` for the function. Without an
    /// id both are of the same bytes.
    pub fn new(trace: TraceContext, given: Option<RequestId>) -> (Self, HeaderValue) {
        let traceparent = trace.to_bytes();
        let request_id = given.unwrap_or_else(|| RequestId(header_value(traceparent.slice(TRACE_ID))));
        (Self { request_id, trace }, header_value(traceparent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_when_it_is_safe_in_a_log_line() {
        for (value, taken) in [("a-b:c/d", true), ("", false), ("a b", false), ("a\tb", false)] {
            let header = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            assert_eq!(RequestId::from_header(&header).is_some(), taken, "{value:?}");
        }
        let long = HeaderValue::from_bytes(&[b'a'; 129]).unwrap();
        assert_eq!(RequestId::from_header(&long), None);
    }

    #[test]
    fn a_made_request_id_is_the_trace_id() {
        let trace = TraceContext::parse(GOOD).unwrap();
        let (ids, traceparent) = CallIds::new(trace, None);
        assert_eq!((ids.request_id.as_str(), traceparent.as_bytes()), (&GOOD[3..35], GOOD.as_bytes()));
        assert_eq!(ids.request_id, RequestId::from_trace(&trace));
    }

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_traceparent_survives_the_round_trip() {
        let trace = TraceContext::parse(GOOD).unwrap();
        assert_eq!((trace.to_string().as_str(), trace.to_header().as_bytes()), (GOOD, GOOD.as_bytes()));
    }

    #[test]
    fn a_newer_version_may_carry_more() {
        let newer = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-next";
        assert_eq!(TraceContext::parse(newer).unwrap().to_string(), GOOD);
    }

    #[test]
    fn malformed_traceparents_are_refused() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
