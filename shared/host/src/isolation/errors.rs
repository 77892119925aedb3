//! What has gone wrong, as payloads of frames say it.

use std::{fmt, time::Duration};

use bytes::{BufMut as _, BytesMut};
use contract::{BodyError, CancelReason, Failure, HandlerError, LoadError};

use super::frame::{Fields, LARGEST, Malformed, Read, beginning, put_text};

pub(super) fn put_error(buffer: &mut BytesMut, error: &HandlerError) {
    if let HandlerError::Body(error) = error {
        return put_body_error(buffer, error);
    }
    let (tag, texts): (u8, [&str; 3]) = match error {
        HandlerError::Raised(Failure { kind, message, stack }) => (0, [kind, message, stack]),
        HandlerError::BadData(what) => (1, [what, "", ""]),
        HandlerError::BadReply(what) => (2, [what, "", ""]),
        HandlerError::Stopped => (3, [""; 3]),
        HandlerError::Lost(what) => (4, [what, "", ""]),
        // The first is written above, and only the host keeps the account of the other.
        HandlerError::Body(_) | HandlerError::OutOfCpu(_) => (3, [""; 3]),
    };
    buffer.put_u8(tag);
    for text in texts {
        // The report of an error may hold anything that the function has put into it.
        put_text(buffer, beginning(text, LARGEST / 4));
    }
}

/// Tags of errors of bodies follow those of errors of calls.
const BODY: u8 = 16;

fn put_body_error(buffer: &mut BytesMut, error: &BodyError) {
    let (tag, numbers, text) = match error {
        BodyError::TooLarge { declared: None, limit } => (0, [*limit, 0], ""),
        BodyError::TooLarge { declared: Some(declared), limit } => (1, [*limit, *declared], ""),
        BodyError::Stalled(time) => (2, [u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 0], ""),
        BodyError::Late(time) => (3, [u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 0], ""),
        BodyError::Malformed(what) => (4, [0; 2], what.as_str()),
        BodyError::Coding(what) => (5, [0; 2], what.as_str()),
        BodyError::Gone => (6, [0; 2], ""),
    };
    buffer.put_u8(BODY + tag);
    numbers.iter().for_each(|number| buffer.put_u64_le(*number));
    put_text(buffer, beginning(text, LARGEST / 4));
}

fn read_body_error(tag: u8, fields: &mut Fields) -> Read<BodyError> {
    let ([first, second], text) = ([fields.u64()?, fields.u64()?], fields.text()?);
    Ok(match tag {
        0 => BodyError::TooLarge { declared: None, limit: first },
        1 => BodyError::TooLarge { declared: Some(second), limit: first },
        2 => BodyError::Stalled(Duration::from_nanos(first)),
        3 => BodyError::Late(Duration::from_nanos(first)),
        4 => BodyError::Malformed(text),
        5 => BodyError::Coding(text),
        6 => BodyError::Gone,
        _ => return Err(Malformed),
    })
}

pub(super) fn read_error(fields: &mut Fields) -> Read<HandlerError> {
    let tag = fields.u8()?;
    if tag >= BODY {
        return Ok(read_body_error(tag - BODY, fields)?.into());
    }
    let [kind, message, stack] = [fields.text()?, fields.text()?, fields.text()?];
    Ok(match tag {
        0 => HandlerError::Raised(Failure { kind, message, stack }),
        1 => HandlerError::BadData(kind),
        2 => HandlerError::BadReply(kind),
        3 => HandlerError::Stopped,
        4 => HandlerError::Lost(kind),
        _ => return Err(Malformed),
    })
}

/// Why a worker could not load the function. A panic is a fault of ours and has no other words.
#[derive(Debug)]
pub(crate) enum Refusal {
    Load(LoadError),
    Panicked,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Panicked => f.write_str("the engine panicked while it loaded the function"),
        }
    }
}

impl Refusal {
    pub(super) fn put(&self, buffer: &mut BytesMut) {
        let (tag, message, stack) = match self {
            Self::Load(LoadError::Runtime(message)) => (0, message.as_str(), ""),
            Self::Load(LoadError::NotFound(message)) => (1, message.as_str(), ""),
            Self::Load(LoadError::Failed { message, stack }) => (2, message.as_str(), stack.as_str()),
            Self::Panicked => (3, "", ""),
        };
        buffer.put_u8(tag);
        put_text(buffer, beginning(message, LARGEST / 4));
        put_text(buffer, beginning(stack, LARGEST / 4));
    }

    pub(super) fn read(fields: &mut Fields) -> Read<Self> {
        let (tag, message, stack) = (fields.u8()?, fields.text()?, fields.text()?);
        Ok(match tag {
            0 => Self::Load(LoadError::Runtime(message)),
            1 => Self::Load(LoadError::NotFound(message)),
            2 => Self::Load(LoadError::Failed { message, stack }),
            3 => Self::Panicked,
            _ => return Err(Malformed),
        })
    }
}

pub(super) fn read_reason(fields: &mut Fields) -> Read<CancelReason> {
    CancelReason::ALL.get(usize::from(fields.u8()?)).copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_as_they_were_sent() {
        let raised = Failure { kind: "E".to_owned(), message: "m".to_owned(), stack: "s\n t".to_owned() };
        for error in [
            HandlerError::Raised(raised),
            HandlerError::BadData("d".to_owned()),
            HandlerError::BadReply("r".to_owned()),
            HandlerError::Stopped,
            HandlerError::Lost("l".to_owned()),
            BodyError::TooLarge { declared: None, limit: 7 }.into(),
            BodyError::TooLarge { declared: Some(9), limit: 7 }.into(),
            BodyError::Stalled(Duration::from_millis(5)).into(),
            BodyError::Late(Duration::from_secs(5)).into(),
            BodyError::Malformed("m".to_owned()).into(),
            BodyError::Coding("c".to_owned()).into(),
            BodyError::Gone.into(),
        ] {
            let mut buffer = BytesMut::new();
            put_error(&mut buffer, &error);
            let read = read_error(&mut Fields(buffer.freeze())).unwrap();
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
        }
    }
}
