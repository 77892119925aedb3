//! What the server itself wants to know of a request's headers, found in one pass: each look-up by name would cost as much.

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// In bytes, as the client sent them: each field with its colon, its space and its line end.
    pub(super) size: usize,
    pub(super) host: Field<'a>,
    pub(super) transfer_encoding: Field<'a>,
    pub(super) traceparent: Field<'a>,
    pub(super) tracestate: Field<'a>,
    pub(super) request_id: Field<'a>,
}

/// The lines of one name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Field<'a> {
    #[default]
    Absent,
    Once(&'a HeaderValue),
    /// The first of several.
    Repeated(&'a HeaderValue),
}

impl<'a> Fields<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let text = name.as_str();
            fields.size += text.len() + value.len() + 4;
            let field = match text.len() {
                4 if *name == header::HOST => &mut fields.host,
                10 if *name == TRACESTATE => &mut fields.tracestate,
                11 if *name == TRACEPARENT => &mut fields.traceparent,
                12 if *name == REQUEST_ID => &mut fields.request_id,
                17 if *name == header::TRANSFER_ENCODING => &mut fields.transfer_encoding,
                _ => continue,
            };
            field.add(value);
        }
        fields
    }
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = match *self {
            Self::Absent => Self::Once(value),
            Self::Once(first) | Self::Repeated(first) => Self::Repeated(first),
        };
    }

    /// Its first line.
    pub(super) fn first(self) -> Option<&'a HeaderValue> {
        match self {
            Self::Absent => None,
            Self::Once(value) | Self::Repeated(value) => Some(value),
        }
    }

    /// Its only line.
    pub(super) fn only(self) -> Option<&'a HeaderValue> {
        if let Self::Once(value) = self { Some(value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_counted() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("host", "a"), ("x-request-id", "one"), ("x-request-id", "two"), ("accept-language", "de")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        let fields = Fields::of(&headers);
        assert_eq!(fields.host.only().map(HeaderValue::as_bytes), Some(&b"a"[..]));
        assert_eq!(fields.request_id.first().map(HeaderValue::as_bytes), Some(&b"one"[..]));
        assert!(fields.request_id.only().is_none() && fields.traceparent.first().is_none());
        let sent = "host: a\r\nx-request-id: one\r\nx-request-id: two\r\naccept-language: de\r\n";
        assert_eq!(fields.size, sent.len());
    }
}
