//! The words that host and worker exchange, as bytes.
//!
//! A frame is 9 bytes, the payload's length, the call it belongs to (0 for none) and its kind, and the payload. Both
//! ends are the same binary, so there are no versions; but user code lives in one of them, so whatever is read is
//! checked, and what cannot be understood ends the worker and nothing else.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 9;

/// The largest payload: a head with everything that may be in it fits easily, and bodies come in pieces.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $number:literal,)*) => {
        /// What a frame says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind { $($(#[$about])* $name = $number,)* }

        impl Kind {
            fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// To the worker: run this.
    Call = 1,
    /// To the worker: nobody waits for the call any more.
    Cancel = 2,
    /// To the worker: say how the engine does.
    AskGauges = 3,
    /// To the worker: there will be no more calls; come to an end.
    Finish = 4,
    /// To the host: the function is loaded.
    Loaded = 16,
    /// To the host: the function could not be loaded.
    Refused = 17,
    /// To the host: the head of a reply, with its body unless that follows.
    Reply = 18,
    /// To the host: there is no reply, for this reason.
    Failed = 19,
    /// To the host: the call's user code is done.
    Done = 20,
    /// To the host: lines for the log.
    Lines = 21,
    /// To the host: an error that no reply could carry was logged.
    Stray = 22,
    /// To the host: where a call was when it was cancelled.
    Whereabouts = 23,
    /// To the host: the answer to `AskGauges`.
    Gauges = 24,
    /// Both ways: a piece of a body.
    Piece = 32,
    /// Both ways: the body is complete.
    End = 33,
    /// Both ways: the body ends before its time.
    Broken = 34,
    /// Both ways: so many bytes of the body have been taken.
    Taken = 35,
    /// Both ways: nobody reads the body any more.
    Unread = 36,
}

/// A frame that has arrived.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) call: u32,
    pub(super) payload: Fields,
}

/// What came is not what a host or a worker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Frame {
    /// Takes the first frame out of `buffer` if it is there as a whole; otherwise says how many bytes are missing.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Result<Self, usize>, Malformed> {
        let Some(mut head) = buffer.get(..HEAD) else { return Ok(Err(HEAD - buffer.len())) };
        let (size, call, kind) = (head.get_u32_le() as usize, head.get_u32_le(), head.get_u8());
        let kind = Kind::of(kind).filter(|_| size <= LARGEST).ok_or(Malformed)?;
        if buffer.len() < HEAD + size {
            return Ok(Err(HEAD + size - buffer.len()));
        }
        buffer.advance(HEAD);
        Ok(Ok(Self { kind, call, payload: Fields(buffer.split_to(size).freeze()) }))
    }
}

/// Writes the first bytes of a frame.
pub(super) fn put_head(buffer: &mut BytesMut, kind: Kind, call: u32, size: usize) {
    debug_assert!(size <= LARGEST, "{kind:?} of {size} bytes");
    buffer.put_u32_le(size as u32);
    buffer.put_u32_le(call);
    buffer.put_u8(kind as u8);
}

/// Corrects the payload's length in `frame`, which begins with a frame's first bytes.
pub(super) fn put_size(frame: &mut [u8], size: usize) {
    debug_assert!(size <= LARGEST, "a frame of {size} bytes");
    frame[..4].copy_from_slice(&(size as u32).to_le_bytes());
}

/// A payload, read from front to back.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Bytes);

pub(super) type Read<T> = Result<T, Malformed>;

impl Fields {
    pub(super) fn u8(&mut self) -> Read<u8> {
        self.0.try_get_u8().map_err(|_| Malformed)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.0.try_get_u16_le().map_err(|_| Malformed)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.0.try_get_u32_le().map_err(|_| Malformed)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        self.0.try_get_u64_le().map_err(|_| Malformed)
    }

    pub(super) fn f64(&mut self) -> Read<f64> {
        self.0.try_get_f64_le().map_err(|_| Malformed)
    }

    pub(super) fn u128(&mut self) -> Read<u128> {
        self.0.try_get_u128_le().map_err(|_| Malformed)
    }

    pub(super) fn bytes(&mut self) -> Read<Bytes> {
        let size = self.u32()? as usize;
        if size > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(size))
    }

    /// What `read` makes of the bytes, where nothing of them has to be kept.
    pub(super) fn parsed<T, E>(&mut self, read: impl FnOnce(&[u8]) -> Result<T, E>) -> Read<T> {
        let size = self.u32()? as usize;
        let parsed = read(self.0.get(..size).ok_or(Malformed)?).map_err(|_| Malformed)?;
        self.0.advance(size);
        Ok(parsed)
    }

    pub(super) fn text(&mut self) -> Read<String> {
        self.parsed(|bytes| Read::Ok(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }
}

pub(super) fn put_text(buffer: &mut BytesMut, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    buffer.put_u32_le(text.len() as u32);
    buffer.put_slice(text);
}

/// As much of a text as fits, whole characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_in_pieces_says_how_much_is_missing() {
        let mut buffer = BytesMut::new();
        assert_eq!(Frame::take(&mut buffer).unwrap().unwrap_err(), HEAD);
        put_head(&mut buffer, Kind::Done, 3, 4);
        buffer.put_slice(b"ab");
        assert_eq!(Frame::take(&mut buffer).unwrap().unwrap_err(), 2);
        buffer.put_slice(b"cdx");
        let frame = Frame::take(&mut buffer).unwrap().unwrap();
        assert_eq!((frame.kind, frame.call, &*frame.payload.0), (Kind::Done, 3, &b"abcd"[..]));
        assert_eq!(&*buffer, b"x");
    }
}
