//! Reading a request's body, within its limits, before the function is called.

use std::{future::poll_fn, pin::Pin};

use bytes::{Bytes, BytesMut};
use contract::Body;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{inflate, problem::Problem};
use crate::config::Config;

/// Reads the whole body and undoes its compression. The headers are left saying what the function gets.
pub(super) async fn read(
    mut body: Incoming,
    headers: &mut HeaderMap,
    config: &Config,
    deadline: Instant,
) -> Result<Body, Problem> {
    let limit = config.wire.body;
    if body.is_end_stream() {
        return Ok(Body::Empty);
    }
    let declared = body.size_hint().exact();
    if declared.is_some_and(|size| size > limit as u64) {
        return Err(Problem::BodyTooLarge { declared, limit });
    }
    let codings = inflate::codings(headers)?;
    let mut read = Collected::default();
    while let Some(frame) = next(&mut body, config, deadline).await? {
        // Trailers carry nothing that the contract gives a meaning to.
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(Problem::BodyTooLarge { declared: None, limit });
        }
        read.push(data);
    }
    let mut bytes = read.finish();
    if !codings.is_empty() && !bytes.is_empty() {
        let inflated = tokio::task::spawn_blocking(move || inflate::inflate(bytes, &codings, limit)).await;
        bytes = inflated
            .unwrap_or_else(|_| Err(Problem::BadBody("the request body cannot be inflated".to_owned())))?;
    }
    describe(headers, bytes.len());
    Ok(bytes.into())
}

/// Makes the headers say what the function gets, where that differs from what was sent.
fn describe(headers: &mut HeaderMap, length: usize) {
    let inflated = headers.remove(header::CONTENT_ENCODING).is_some();
    let unchunked = headers.remove(header::TRANSFER_ENCODING).is_some();
    if inflated || unchunked {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// The next piece, unless the client stalls or the deadline comes.
async fn next(
    body: &mut Incoming,
    config: &Config,
    deadline: Instant,
) -> Result<Option<Frame<Bytes>>, Problem> {
    let patience = Instant::now() + config.wire.body_time;
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    match timeout_at(deadline.min(patience), frame).await {
        Ok(frame) => frame
            .transpose()
            .map_err(|error| Problem::Malformed(format!("the request body cannot be read: {error}"))),
        Err(_) if deadline < patience => Err(Problem::BodyLate(config.calls.timeout)),
        Err(_) => Err(Problem::BodyStalled(config.wire.body_time)),
    }
}

/// Pieces of a body; a body that comes in one piece is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: Option<BytesMut>,
}

impl Collected {
    fn len(&self) -> usize {
        self.all.as_ref().map_or(self.first.len(), BytesMut::len)
    }

    fn push(&mut self, data: Bytes) {
        match &mut self.all {
            Some(all) => all.extend_from_slice(&data),
            None if self.first.is_empty() => self.first = data,
            None => {
                let mut all = BytesMut::with_capacity(2 * (self.first.len() + data.len()));
                all.extend_from_slice(&self.first);
                all.extend_from_slice(&data);
                self.all = Some(all);
            }
        }
    }

    fn finish(self) -> Bytes {
        self.all.map_or(self.first, BytesMut::freeze)
    }
}
