//! Taking in a request's body: complete before the function is called, or piece by piece while it runs.

use std::{future::poll_fn, sync::Arc};

use bytes::{Bytes, BytesMut};
use contract::{Body, BodyError};
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::{task::coop, time::Instant};

use super::{inflate, problem::Problem, source::Source, wire::Wire};
use crate::config::Config;

/// Looks at what the head says of the body. `None` when there is none.
pub(super) fn open(
    body: Incoming,
    headers: &HeaderMap,
    config: &Config,
    deadline: Instant,
    wire: &Arc<Wire>,
) -> Result<Option<Source>, Problem> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let limit = config.wire.body as u64;
    let declared = body.size_hint().exact();
    if declared.is_some_and(|size| size > limit) {
        return Err(BodyError::TooLarge { declared, limit }.into());
    }
    let codings = inflate::codings(headers)?;
    Ok(Some(Source::new(body, codings, config, deadline, wire.clone())))
}

/// Reads everything. The headers are left saying what the function gets.
pub(super) async fn whole(mut source: Source, headers: &mut HeaderMap) -> Result<Body, BodyError> {
    let mut read = Collected::default();
    while let Some(piece) = poll_fn(|cx| source.poll(cx)).await.transpose()? {
        read.push(piece);
        // Inflating keeps the thread busy: the others on it get their turn.
        coop::consume_budget().await;
    }
    let bytes = read.finish();
    if describe(headers) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    Ok(bytes.into())
}

/// Takes out of the headers what the function will not find in the body. Whether there was any such thing, so that
/// the length is another one than was sent, or was not sent.
pub(super) fn describe(headers: &mut HeaderMap) -> bool {
    let inflated = headers.remove(header::CONTENT_ENCODING).is_some();
    let unchunked = headers.remove(header::TRANSFER_ENCODING).is_some();
    if inflated {
        headers.remove(header::CONTENT_LENGTH);
    }
    inflated || unchunked
}

/// Pieces of a body; a body that comes in one piece is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: Option<BytesMut>,
}

impl Collected {
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
