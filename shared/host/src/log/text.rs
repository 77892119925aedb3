//! The text format: Apache's combined format with duration, request id and trace id for requests, what the function
//! prints as it printed it, and a time, a level and fields for the host's own lines.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    time::SystemTime,
};

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{ACCESS, FUNCTION_STDERR, FUNCTION_STDOUT};

const CLF_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
const LINE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// See the module.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match event.metadata().target() {
            ACCESS => event.record(&mut Combined { out: &mut out, cpu_known: false }),
            FUNCTION_STDOUT | FUNCTION_STDERR => event.record(&mut Message { out: &mut out, verbatim: true }),
            _ => {
                write!(out, "{} {} ", now(LINE_TIME), event.metadata().level())?;
                event.record(&mut Message { out: &mut out, verbatim: false });
                event.record(&mut Fields { out: &mut out });
            }
        }
        writeln!(out)
    }
}

fn now(format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}

/// The time in the access line, made once per second and thread.
fn write_clf_time(out: &mut Writer<'_>) -> fmt::Result {
    thread_local!(static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) });
    let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            (*last, *text) = (second, now(CLF_TIME));
        }
        out.write_str(text)
    })
}

/// `remote - - [time] "method path protocol" status bytes "referer" "agent" seconds cpu-seconds request-id trace-id`
///
/// Relies on the fields coming in the order in which [`super::AccessLine`] names them. Written without format
/// strings where it can be: there is one of these lines per request.
struct Combined<'a, 'w> {
    out: &'a mut Writer<'w>,
    cpu_known: bool,
}

impl Combined<'_, '_> {
    fn text(&mut self, field: &str, value: &str) -> fmt::Result {
        let (before, after) = match field {
            "method" => ("\"", " "),
            "path" => ("", " "),
            "protocol" => ("", "\""),
            "referer" | "user_agent" => (" \"", "\""),
            // A request without a call has taken no time of the processor.
            "request_id" if !self.cpu_known => (" - ", ""),
            "request_id" | "trace_id" => (" ", ""),
            _ => return Ok(()),
        };
        self.out.write_str(before)?;
        write_quoted(self.out, value)?;
        self.out.write_str(after)
    }

    fn remote(&mut self, value: &dyn fmt::Debug) -> fmt::Result {
        write!(self.out, "{value:?} - - [")?;
        write_clf_time(self.out)?;
        self.out.write_str("] ")
    }
}

impl Visit for Combined<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = self.text(field.name(), value);
    }

    fn record_u64(&mut self, _: &Field, value: u64) {
        let _ = write!(self.out, " {value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.cpu_known |= field.name() == "cpu";
        let _ = write!(self.out, " {value:.6}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "remote" => self.remote(value),
            "trace_id" => write!(self.out, " {value:?}"),
            _ => Ok(()),
        };
    }
}

/// Clients choose these texts: nothing in them may end the quotes or the line.
fn write_quoted(out: &mut Writer<'_>, text: &str) -> fmt::Result {
    // The control characters beyond ASCII, some of which are line breaks or begin a terminal's commands, start with 0xc2.
    let may_be_unsafe = |b: u8| matches!(b, b'"' | b'\\' | 0x00..=0x1f | 0x7f | 0xc2);
    if !text.bytes().any(may_be_unsafe) {
        return out.write_str(text);
    }
    for c in text.chars() {
        if c.is_control() || matches!(c, '"' | '\\') {
            write!(out, "\\x{:02x}", u32::from(c))?;
        } else {
            out.write_char(c)?;
        }
    }
    Ok(())
}

/// The message alone: as it is when the function printed it, else with its control characters escaped, because it
/// may hold the text of an exception, and a newline in that would forge a line of ours.
struct Message<'a, 'w> {
    out: &'a mut Writer<'w>,
    verbatim: bool,
}

impl Visit for Message<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = match self.verbatim {
                true => write!(self.out, "{value:?}"),
                false => write!(&mut Escaped(self.out), "{value:?}"),
            };
        }
    }
}

/// Everything but the message, as `name=value`. A stack goes on lines of its own, indented so that none of them looks
/// like the beginning of another line.
struct Fields<'a, 'w> {
    out: &'a mut Writer<'w>,
}

impl Fields<'_, '_> {
    fn stack(&mut self, stack: &str) -> fmt::Result {
        stack.lines().try_for_each(|line| write!(self.out, "\n  {line}"))
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "stack" => self.stack(value),
            name => write!(&mut Escaped(self.out), " {name}={value}"),
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            let _ = write!(&mut Escaped(self.out), " {}={value:?}", field.name());
        }
    }
}

/// Writes control characters as escapes.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Writer, write_quoted};

    #[test]
    fn clients_cannot_put_control_characters_into_a_line() {
        let mut line = String::new();
        write_quoted(&mut Writer::new(&mut line), "plain é \"\\\n\u{7f}\u{85}\u{9b}").expect("a line");
        assert_eq!(line, r"plain é \x22\x5c\x0a\x7f\x85\x9b");
    }
}
