//! What the function prints: whole lines, each with the call that wrote it.

use std::{cell::RefCell, sync::Arc};

use contract::{CallIds, Output, OutputLine, OutputStream, output::Lines};
use rustc_hash::FxHashMap;

/// The number of a call, if it is known, and whether it is standard error.
type Source = (Option<u32>, bool);

/// The way from one isolate to the log.
pub(crate) struct Printer {
    output: Arc<dyn Output>,
    /// The lines that have been begun.
    begun: RefCell<FxHashMap<Source, Lines>>,
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
        let mut begun = self.begun.borrow_mut();
        let source = (number, stream == OutputStream::Stderr);
        let mut lines = begun.remove(&source).unwrap_or_default();
        lines.write(bytes, |line| self.line(stream, line, call));
        if !lines.is_empty() {
            begun.insert(source, lines);
        }
    }

    /// Writes out what a call has left without a newline.
    pub(crate) fn finish(&self, number: u32, call: &CallIds) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let begun = self.begun.borrow_mut().remove(&(Some(number), stream == OutputStream::Stderr));
            if let Some(mut lines) = begun {
                lines.finish(|line| self.line(stream, line, Some(call)));
            }
        }
    }

    fn line(&self, stream: OutputStream, line: &[u8], call: Option<&CallIds>) {
        self.output.line(OutputLine { stream, text: &String::from_utf8_lossy(line), call });
    }
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
}
