//! What others have written, made harmless to look at.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

use crate::result::Report;

/// The report with every text of it made [`visible`], so that no place can forget to. Only JSON, which escapes what
/// acts by itself, has the texts as they came.
pub(super) fn harmless(report: &Report) -> Report {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => *text = visible(text).into_owned(),
            Value::Array(values) => values.iter_mut().for_each(clean),
            Value::Object(fields) => fields.values_mut().for_each(clean),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = serde_json::to_value(report).expect("a report is made of what JSON has");
    clean(&mut value);
    serde_json::from_value(value).expect("text is text, whatever it says")
}

/// Shows every character that would act instead of being seen: escape sequences could clear a terminal, XML allows
/// most control characters in no form at all, and directional overrides let a text read as something else.
///
/// Controls become their pictures (`␛`), the others their code (`\u{202e}`). Tabs and line ends stay; a carriage return
/// at a line's end, as HTTP has it, goes away.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\x7f' => shown.push('␡'),
            '\0'..='\x1f' if acts(c) => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            c if acts(c) => _ = write!(shown, "{}", c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// On one line: for names and for everything that stands in a row of its own.
pub(super) fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

fn acts(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Line and paragraph separators, directional marks and overrides, and what has no width of its own.
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{61c}'
        | '\u{feff}' => true,
        // XML has no place for these.
        '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

/// Seconds for a reader: `4.2 s`, `180 ms`, `2 min 5 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if whole < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
    }
}
