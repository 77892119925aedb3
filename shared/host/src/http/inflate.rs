//! Compressed request bodies: inflated before the function sees them, within the payload limit.

use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, header};

use super::problem::Problem;

/// More than one coding on top of another has no honest use.
const MOST_CODINGS: usize = 2;

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

/// Undoes `codings`, never holding more than `limit` bytes and one buffer.
pub(super) fn inflate(mut body: Bytes, codings: &[Coding], limit: usize) -> Result<Bytes, Problem> {
    for coding in codings.iter().rev() {
        let input = &body[..];
        body = match coding {
            Coding::Gzip => read_all(flate2::read::MultiGzDecoder::new(input), limit),
            // The field's name is for zlib's format; some clients send the bare stream instead.
            Coding::Deflate if input.first().is_some_and(|b| b & 0x0f == 8) => {
                read_all(flate2::read::ZlibDecoder::new(input), limit)
            }
            Coding::Deflate => read_all(flate2::read::DeflateDecoder::new(input), limit),
            Coding::Brotli => read_all(brotli::Decompressor::new(input, 4096), limit),
        }?;
    }
    Ok(body)
}

fn read_all(decoder: impl Read, limit: usize) -> Result<Bytes, Problem> {
    let mut inflated = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut inflated);
    read.map_err(|error: io::Error| {
        Problem::BadBody(format!("the request body cannot be inflated: {error}"))
    })?;
    if inflated.len() > limit {
        return Err(Problem::BodyTooLarge { declared: None, limit });
    }
    Ok(inflated.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write};

    use super::*;

    fn headers(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, coding.parse().unwrap())])
    }

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn every_coding_round_trips() {
        let data = b"some data, some data".repeat(10);
        let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&data).unwrap();
        let mut raw = write::DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(&data).unwrap();
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 5, 20).write_all(&data).unwrap();
        for (coding, body) in [
            ("gzip", gzip(&data)),
            ("X-GZIP", gzip(&data)),
            ("deflate", zlib.finish().unwrap().into()),
            ("deflate", raw.finish().unwrap().into()),
            ("br", br.into()),
            ("identity", data.clone().into()),
            ("gzip, gzip", gzip(&gzip(&data))),
        ] {
            let codings = codings(&headers(coding)).unwrap();
            assert_eq!(inflate(body, &codings, data.len()).unwrap(), data, "{coding}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        let refused = inflate(bomb, &[Coding::Gzip], 1_048_576).unwrap_err();
        assert!(matches!(refused, Problem::BodyTooLarge { declared: None, limit: 1_048_576 }), "{refused:?}");
    }

    #[test]
    fn what_is_not_the_coding_it_says_is_a_bad_body() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
            let refused = inflate(Bytes::from_static(b"plain text, truly"), &[coding], 1000).unwrap_err();
            assert!(matches!(refused, Problem::BadBody(_)), "{coding:?} {refused:?}");
        }
    }

    #[test]
    fn unknown_codings_are_named() {
        let refused = codings(&headers("zstd")).unwrap_err();
        assert_eq!(refused.public(false), "content coding \"zstd\" is not known; allowed: gzip, deflate, br");
        assert!(codings(&headers("gzip, gzip, gzip")).is_err());
    }
}
