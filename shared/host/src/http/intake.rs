//! Reading a request's body, within its limits, before the function is called.

use std::{pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use contract::Body;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{inflate, problem::Problem};
use crate::config::WireLimits;

/// Reads the whole body and undoes its compression. The headers are left saying what the function gets.
pub(super) async fn read(
    mut body: Incoming,
    headers: &mut HeaderMap,
    limits: &WireLimits,
    deadline: Instant,
) -> Result<Body, Problem> {
    let limit = limits.body;
    if body.is_end_stream() {
        return Ok(Body::Empty);
    }
    let declared = body.size_hint().exact();
    if declared.is_some_and(|size| size > limit as u64) {
        return Err(Problem::BodyTooLarge { declared, limit });
    }
    let codings = inflate::codings(headers)?;
    let mut read = Collected::default();
    while let Some(frame) = next(&mut body, limits.body_time, deadline).await? {
        // Trailers carry nothing that the contract gives a meaning to.
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(Problem::BodyTooLarge { declared: None, limit });
        }
        read.push(data);
    }
    let bytes = read.finish();
    if codings.is_empty() {
        return Ok(bytes.into());
    }
    let inflated = tokio::task::spawn_blocking(move || inflate::inflate(bytes, &codings, limit)).await;
    let inflated =
        inflated.unwrap_or_else(|_| Err(Problem::BadBody("the request body cannot be inflated".into())))?;
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(inflated.len()));
    Ok(inflated.into())
}

/// The next piece, unless the client stalls or the deadline comes.
async fn next(
    body: &mut Incoming,
    patience: Duration,
    deadline: Instant,
) -> Result<Option<Frame<Bytes>>, Problem> {
    let until = deadline.min(Instant::now() + patience);
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    match timeout_at(until, frame).await {
        Ok(frame) => frame
            .transpose()
            .map_err(|error| Problem::Malformed(format!("the request body cannot be read: {error}"))),
        Err(_) => Err(Problem::BodyStalled(patience)),
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
