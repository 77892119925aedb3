//! The text format: Apache's combined format with duration and request id for requests, what the function prints as
//! it printed it, and a time, a level and fields for the host's own lines.

use std::fmt::{self, Write};

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
            ACCESS => event.record(&mut Combined { out: &mut out }),
            FUNCTION_STDOUT | FUNCTION_STDERR => event.record(&mut Message { out: &mut out }),
            _ => {
                write!(out, "{} {} ", now(LINE_TIME), event.metadata().level())?;
                event.record(&mut Message { out: &mut out });
                event.record(&mut Fields { out: &mut out });
            }
        }
        writeln!(out)
    }
}

fn now(format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}

/// `remote - - [time] "method path protocol" status bytes "referer" "agent" seconds request-id`
///
/// Relies on the fields coming in the order in which [`super::AccessLine`] names them.
struct Combined<'a, 'w> {
    out: &'a mut Writer<'w>,
}

impl Visit for Combined<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = Quoted(value);
        let _ = match field.name() {
            "method" => write!(self.out, "\"{value} "),
            "path" => write!(self.out, "{value} "),
            "protocol" => write!(self.out, "{value}\""),
            "referer" | "user_agent" => write!(self.out, " \"{value}\""),
            "request_id" => write!(self.out, " {value}"),
            _ => Ok(()),
        };
    }

    fn record_u64(&mut self, _: &Field, value: u64) {
        let _ = write!(self.out, " {value}");
    }

    fn record_f64(&mut self, _: &Field, value: f64) {
        let _ = write!(self.out, " {value:.6}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "remote" {
            let _ = write!(self.out, "{value:?} - - [{}] ", now(CLF_TIME));
        }
    }
}

/// Clients choose these texts: nothing in them may end the quotes or the line.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |c: char| c != '"' && c != '\\' && !c.is_control();
        if self.0.chars().all(safe) {
            return f.write_str(self.0);
        }
        for c in self.0.chars() {
            if safe(c) { f.write_char(c)? } else { write!(f, "\\x{:02x}", u32::from(c))? }
        }
        Ok(())
    }
}

/// The message alone.
struct Message<'a, 'w> {
    out: &'a mut Writer<'w>,
}

impl Visit for Message<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.out, "{value:?}");
        }
    }
}

/// Everything but the message, as `name=value`; a stack goes on lines of its own.
struct Fields<'a, 'w> {
    out: &'a mut Writer<'w>,
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "stack" if value.is_empty() => Ok(()),
            "stack" => write!(self.out, "\n{}", value.trim_end()),
            name => write!(self.out, " {name}={value}"),
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            let _ = write!(self.out, " {}={value:?}", field.name());
        }
    }
}
