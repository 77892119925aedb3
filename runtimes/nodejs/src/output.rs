//! What the function prints: whole lines, each with the call that wrote it.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use contract::{CallIds, Output, OutputLine, OutputStream};

/// A line that gets longer than this goes out in pieces, so that a function cannot fill the memory by never ending
/// one.
const LONGEST: usize = 64 << 10;

/// The number of a call, if it is known, and whether it is standard error.
type Source = (Option<u32>, bool);

/// The way from one isolate to the log.
pub(crate) struct Printer {
    output: Arc<dyn Output>,
    /// What has been written without a newline so far.
    begun: RefCell<HashMap<Source, Vec<u8>>>,
}

impl Printer {
    pub(crate) fn new(output: Arc<dyn Output>) -> Self {
        Self { output, begun: RefCell::default() }
    }

    /// Writes for the call of this number, or for none.
    pub(crate) fn write(
        &self,
        stream: OutputStream,
        bytes: &[u8],
        number: Option<u32>,
        call: Option<&CallIds>,
    ) {
        let line = |line: &[u8]| {
            self.output.line(OutputLine { stream, text: &String::from_utf8_lossy(line), call });
        };
        let mut all = self.begun.borrow_mut();
        let key = (number, stream == OutputStream::Stderr);
        let mut begun = all.remove(&key).unwrap_or_default();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            if begun.is_empty() && piece.len() <= LONGEST {
                line(piece);
                continue;
            }
            append(&mut begun, piece, line);
            line(&begun);
            begun.clear();
        }
        append(&mut begun, last, line);
        if !begun.is_empty() {
            all.insert(key, begun);
        }
    }

    /// Writes out what a call has left without a newline.
    pub(crate) fn finish(&self, number: u32, call: &CallIds) {
        if self.begun.borrow().is_empty() {
            return;
        }
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let left = self.begun.borrow_mut().remove(&(Some(number), stream == OutputStream::Stderr));
            if let Some(left) = left {
                let text = &String::from_utf8_lossy(&left);
                self.output.line(OutputLine { stream, text, call: Some(call) });
            }
        }
    }
}

/// Adds bytes that hold no newline, cutting off what is too long.
fn append(begun: &mut Vec<u8>, mut bytes: &[u8], line: impl Fn(&[u8])) {
    while begun.len() + bytes.len() > LONGEST {
        let (fits, more) = bytes.split_at(cut(bytes, LONGEST - begun.len()));
        begun.extend_from_slice(fits);
        line(begun);
        begun.clear();
        bytes = more;
    }
    begun.extend_from_slice(bytes);
}

/// Where to cut so that no character of UTF-8 is torn: at `at`, or up to three bytes before.
fn cut(bytes: &[u8], at: usize) -> usize {
    let starts_character = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(starts_character).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use contract::Failure;

    use super::*;

    #[derive(Debug, Default)]
    struct Written(Mutex<Vec<String>>);

    impl Output for Written {
        fn line(&self, line: OutputLine<'_>) {
            self.0.lock().unwrap().push(format!("{:?} {}", line.stream, line.text));
        }

        fn stray_failure(&self, _: &Failure, _: Option<&CallIds>) {}
    }

    #[test]
    fn lines_are_whole_and_streams_and_calls_are_kept_apart() {
        let written = Arc::new(Written::default());
        let printer = Printer::new(written.clone());
        printer.write(OutputStream::Stdout, b"a", Some(1), None);
        printer.write(OutputStream::Stdout, b"b", Some(2), None);
        printer.write(OutputStream::Stderr, b"c\n", Some(1), None);
        printer.write(OutputStream::Stdout, b"A\n\nrest", Some(1), None);
        printer.write(OutputStream::Stdout, b"B\n", Some(2), None);
        let lines = std::mem::take(&mut *written.0.lock().unwrap());
        assert_eq!(lines, ["Stderr c", "Stdout aA", "Stdout ", "Stdout bB"]);
    }

    #[test]
    fn a_line_without_an_end_goes_out_in_pieces_and_no_character_is_torn() {
        let written = Arc::new(Written::default());
        let printer = Printer::new(written.clone());
        let text = format!("{}\u{20ac}", "x".repeat(LONGEST - 1));
        printer.write(OutputStream::Stdout, text.as_bytes(), None, None);
        let lines = written.0.lock().unwrap();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("xx"), "the character is in the next piece");
    }
}
