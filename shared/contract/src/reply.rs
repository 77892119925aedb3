//! What a call gives back.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::HandlerError;

/// A body that arrives in pieces. Dropping it tells the producer that nobody reads any more.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, HandlerError>> + Send>>;

/// The bytes of a message.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// All of them at once.
    Whole(Bytes),
    /// Piece by piece, none of them empty, while the producer runs.
    Stream(BodyStream),
}

impl Body {
    /// The bytes of a body that is not streamed; a stream has none yet.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Empty | Self::Stream(_) => &[],
        }
    }

    /// The bytes of a request's body, for engines that take no [streams](crate::Engine::streams_requests). Handing
    /// them one is a fault of the server and loses the call.
    pub fn whole(self) -> Result<Bytes, HandlerError> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Whole(bytes) => Ok(bytes),
            Self::Stream(_) => {
                Err(HandlerError::Lost("its body is a stream, which was not asked for".to_owned()))
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Whole(bytes) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A function's answer. The server adds what the contract asks for (CORS, framing) and drops what a function may
/// not set (hop-by-hop headers, lengths that are not true).
#[derive(Debug, Default)]
pub struct Reply {
    /// 200 unless the function chose another.
    pub status: StatusCode,
    /// In the order the function set them; repeated names are kept.
    pub headers: HeaderMap,
    /// The answer itself.
    pub body: Body,
}

impl Reply {
    /// A 200 with this body and media type.
    pub fn with_type(media_type: HeaderValue, body: impl Into<Body>) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, media_type);
        Self { status: StatusCode::OK, headers, body: body.into() }
    }

    /// Sets the status that the function chose, 200 to 599. Informational ones are the server's own business.
    pub fn set_status(&mut self, code: i64) -> Result<(), HandlerError> {
        let status = u16::try_from(code).ok().filter(|code| (200..600).contains(code));
        self.status = status
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| HandlerError::BadReply(format!("status {code} is not between 200 and 599")))?;
        Ok(())
    }

    /// Appends a header that the function set. Names and values that could end the header early are refused.
    pub fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HandlerError> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        let header = HeaderName::from_bytes(name).map_err(|_| {
            HandlerError::BadReply(format!("header name \"{}\" is not an HTTP token", shown(name)))
        })?;
        let value = HeaderValue::from_bytes(value).map_err(|_| {
            HandlerError::BadReply(format!(
                "header {header} has the value \"{}\", which holds a control character",
                shown(value)
            ))
        })?;
        self.headers.append(header, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_split_the_response_are_refused() {
        let mut reply = Reply::default();
        assert!(reply.append_header(b"x-good", b"a\tb").is_ok());
        let error = reply.append_header(b"x-bad", b"a\r\nSet-Cookie: b").unwrap_err().to_string();
        assert!(error.contains(r#"header x-bad has the value "a\r\nSet-Cookie: b""#), "{error}");
        let error = reply.append_header(b"bad name", b"").unwrap_err().to_string();
        assert!(error.contains(r#""bad name" is not an HTTP token"#), "{error}");
        assert_eq!(reply.headers.len(), 1);
    }

    #[test]
    fn a_function_chooses_between_200_and_599() {
        let mut reply = Reply::default();
        for good in [200, 204, 418, 599] {
            assert!(reply.set_status(good).is_ok(), "{good}");
        }
        for bad in [-1, 0, 100, 101, 199, 600, 70_000] {
            assert!(reply.set_status(bad).is_err(), "{bad}");
        }
    }
}
