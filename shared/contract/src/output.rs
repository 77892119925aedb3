//! What a function prints, and what it does wrong after its reply, on the way to the log.

use std::fmt;

use crate::{CallIds, Failure};

/// Which of the function's streams a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One whole line of the function's output.
#[derive(Clone, Copy, Debug)]
pub struct OutputLine<'a> {
    /// The stream it was written to.
    pub stream: OutputStream,
    /// The line without its newline.
    pub text: &'a str,
    /// The call that wrote it, when the engine can tell.
    pub call: Option<&'a CallIds>,
}

/// A line that gets longer than this goes out in pieces, so that a function cannot fill the memory by never ending
/// one.
const LONGEST: usize = 64 * 1024;

/// Puts the bytes that are written to a stream together to whole lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has been written without a newline so far.
    begun: Vec<u8>,
}

impl Lines {
    /// Adds bytes and hands every line that is complete to `line`, without its newline.
    pub fn write(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (rest, more) = (&bytes[..end], &bytes[end + 1..]);
            if self.begun.is_empty() && rest.len() <= LONGEST {
                line(rest);
            } else {
                self.append(rest, &mut line);
                line(&self.begun);
                self.begun.clear();
            }
            bytes = more;
        }
        self.append(bytes, &mut line);
    }

    /// Adds bytes that hold no newline, cutting off what is too long.
    fn append(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8])) {
        while self.begun.len() + bytes.len() > LONGEST {
            let (fits, more) = bytes.split_at(cut(bytes, LONGEST - self.begun.len()));
            self.begun.extend_from_slice(fits);
            line(&self.begun);
            self.begun.clear();
            bytes = more;
        }
        self.begun.extend_from_slice(bytes);
    }

    /// Whether nothing waits for its newline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Hands over what has no newline, if there is anything: nothing follows.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            line(&self.begun);
            self.begun.clear();
        }
    }
}

/// Where to cut so that no character of UTF-8 is torn: at `at`, or up to three bytes before.
fn cut(bytes: &[u8], at: usize) -> usize {
    let starts_character = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(starts_character).unwrap_or(at)
}

/// The way from user code to the log. Never blocks on a slow reader and never fails.
pub trait Output: Send + Sync + fmt::Debug {
    /// Writes one line, whole.
    fn line(&self, line: OutputLine<'_>);

    /// Reports an error that no reply can carry any more: a rejection nobody handled, a throw in a timer, an
    /// exception in a background task. It is logged and counted.
    fn stray_failure(&self, failure: &Failure, call: Option<&CallIds>);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(writes: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut whole) = (Lines::default(), Vec::new());
        let mut line = |bytes: &[u8]| whole.push(String::from_utf8(bytes.to_vec()).unwrap());
        writes.iter().for_each(|bytes| lines.write(bytes, &mut line));
        lines.finish(line);
        whole
    }

    #[test]
    fn lines_are_put_together_whatever_the_writes() {
        assert_eq!(lines(&[b"a", b"b\nc\n\n", b"d"]), ["ab", "c", "", "d"]);
        assert_eq!(lines(&[b"a\n"]), ["a"]);
        assert!(lines(&[b""]).is_empty());
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_that_tear_no_character() {
        let long = "\u{20ac}".repeat(100_000);
        let pieces = lines(&[long.as_bytes()]);
        assert!(pieces.iter().all(|piece| piece.len() <= LONGEST) && pieces.len() > 4, "{}", pieces.len());
        assert_eq!(pieces.concat(), long);
    }
}
