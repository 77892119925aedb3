//! Compressed request bodies: inflated as they come, before the function sees them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::{Bytes, BytesMut};
use contract::BodyError;
use http::{HeaderMap, header};
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{problem::Problem, source::Shared};

/// More than one coding on top of another has no honest use.
const MOST_CODINGS: usize = 2;

/// The largest piece that the function gets, and what each coding holds of its result.
const PIECE: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// The codings that were applied to the body, in the order of application.
pub(super) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Problem> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let unknown = || Problem::Coding(String::from_utf8_lossy(value.as_bytes()).into_owned());
        for word in value.to_str().map_err(|_| unknown())?.split(',') {
            match word.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                "br" => codings.push(Coding::Brotli),
                _ => return Err(unknown()),
            }
        }
        if codings.len() > MOST_CODINGS {
            return Err(unknown());
        }
    }
    Ok(codings)
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// What is left when the codings have been undone. Holds a few buffers, whatever a small body may grow to.
pub(super) struct Inflated {
    codings: Vec<Coding>,
    /// Made when there is something to read: a body without a byte is one in every coding.
    reader: Option<Reader>,
    sent: Shared,
    buffer: BytesMut,
    /// Everything has been inflated.
    complete: bool,
}

impl Inflated {
    pub(super) fn new(sent: Shared, codings: Vec<Coding>) -> Self {
        Self { codings, reader: None, sent, buffer: BytesMut::new(), complete: false }
    }

    fn reader(&self, first: Bytes) -> Reader {
        let mut reader: Reader = Box::pin(Pieces { sent: self.sent.clone(), piece: first });
        for coding in self.codings.iter().rev() {
            let inflated: Pin<Box<dyn AsyncRead + Send>> = match coding {
                Coding::Gzip => {
                    let mut decoder = GzipDecoder::new(reader);
                    decoder.multiple_members(true);
                    Box::pin(decoder)
                }
                Coding::Deflate => Box::pin(Deflate::Unknown(Some(reader))),
                Coding::Brotli => Box::pin(BrotliDecoder::new(reader)),
            };
            reader = Box::pin(BufReader::with_capacity(PIECE, inflated));
        }
        reader
    }

    /// The next piece.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        while !self.complete {
            let Some(reader) = &mut self.reader else {
                match ready!(self.sent.poll(cx)) {
                    Some(Ok(first)) => self.reader = Some(self.reader(first)),
                    end => return Poll::Ready(end),
                }
                continue;
            };
            self.buffer.reserve(PIECE);
            match ready!(poll_read_buf(reader.as_mut(), cx, &mut self.buffer)) {
                Ok(0) => self.complete = true,
                Ok(_) => return Poll::Ready(Some(Ok(self.buffer.split().freeze()))),
                Err(error) => return Poll::Ready(Some(Err(reason(error)))),
            }
        }
        // What follows the end of the compressed data is read, so that the connection can be used again, and ignored.
        while let Some(piece) = ready!(self.sent.poll(cx)) {
            if let Err(error) = piece {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }
}

/// Either why the body could not be read, on its way through the decoders, or what a decoder does not understand.
fn reason(error: io::Error) -> BodyError {
    error.downcast().unwrap_or_else(|error| BodyError::Coding(error.to_string()))
}

/// A body as the decoders want to read it.
struct Pieces {
    sent: Shared,
    piece: Bytes,
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.piece.is_empty()
            && let Some(piece) = ready!(this.sent.poll(cx))
        {
            this.piece = piece.map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, read: usize) {
        let _ = self.piece.split_to(read);
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let read = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..read]);
        self.consume(read);
        Poll::Ready(Ok(()))
    }
}

/// The field's name is for zlib's format; some clients send the bare stream instead. The first byte tells.
enum Deflate {
    Unknown(Option<Reader>),
    Zlib(ZlibDecoder<Reader>),
    Bare(DeflateDecoder<Reader>),
}

impl AsyncRead for Deflate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Self::Unknown(unknown) = this {
            let Some(reader) = unknown else { return Poll::Ready(Ok(())) };
            let start = ready!(reader.as_mut().poll_fill_buf(cx))?;
            let zlib = start.first().is_some_and(|byte| byte & 0x0f == 8);
            if let Some(reader) = unknown.take() {
                *this = if zlib {
                    Self::Zlib(ZlibDecoder::new(reader))
                } else {
                    Self::Bare(DeflateDecoder::new(reader))
                };
            }
        }
        match this {
            Self::Unknown(_) => Poll::Ready(Ok(())),
            Self::Zlib(decoder) => Pin::new(decoder).poll_read(cx, buf),
            Self::Bare(decoder) => Pin::new(decoder).poll_read(cx, buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, coding.parse().unwrap())])
    }

    #[test]
    fn codings_are_named_in_the_order_of_application() {
        for (names, known) in [
            ("gzip", &[Coding::Gzip][..]),
            ("X-GZIP, br", &[Coding::Gzip, Coding::Brotli]),
            ("deflate", &[Coding::Deflate]),
            ("identity", &[]),
        ] {
            assert_eq!(codings(&headers(names)).unwrap(), known, "{names}");
        }
    }

    #[test]
    fn unknown_codings_are_named() {
        let refused = codings(&headers("zstd")).unwrap_err();
        assert_eq!(refused.public(false), "content coding \"zstd\" is not known; allowed: gzip, deflate, br");
        assert!(codings(&headers("gzip, gzip, gzip")).is_err());
    }
}
