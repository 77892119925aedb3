//! The kinds of values a variable takes: how each is parsed, and how what is allowed reads in a message.

use std::{fmt, time::Duration};

/// What a variable's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A file or folder.
    Path,
    /// An address to listen on.
    Address,
    /// A whole number of things.
    Count {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
        /// What is counted, in the plural.
        of: &'static str,
    },
    /// A time in seconds; fractions are allowed.
    Seconds {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A size in mebibytes (1048576 bytes); fractions are allowed.
    Mebibytes {
        /// Largest value.
        max: f64,
    },
    /// An amount of memory as Kubernetes writes it.
    Quantity,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `on` or `off`.
    Switch,
}

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Path`], [`Kind::Address`], [`Kind::Choice`] and [`Kind::Quantity`].
    Text(String),
    /// Of [`Kind::Count`], and the bytes of [`Kind::Mebibytes`].
    Number(u64),
    /// Of [`Kind::Seconds`].
    Time(Duration),
    /// Of [`Kind::Switch`].
    Flag(bool),
}

const MEBIBYTE: f64 = 1_048_576.0;

impl Kind {
    /// Reads a value; `None` when it is not what this kind allows.
    pub fn parse(self, text: &str) -> Option<Value> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
        match self {
            Self::Text | Self::Path => (!text.contains('\0')).then(|| Value::Text(text.to_owned())),
            Self::Address => text.parse::<std::net::IpAddr>().ok().map(|ip| Value::Text(ip.to_string())),
            Self::Count { min, max, .. } => {
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let count = digits.then(|| text.parse::<u64>().ok()).flatten()?;
                (min..=max).contains(&count).then_some(Value::Number(count))
            }
            Self::Seconds { min, max } => {
                let seconds = number(text)?;
                (min..=max).contains(&seconds).then(|| Value::Time(Duration::from_secs_f64(seconds)))
            }
            Self::Mebibytes { max } => {
                let size = number(text)?;
                (size > 0.0 && size <= max).then_some(Value::Number((size * MEBIBYTE) as u64))
            }
            Self::Quantity => quantity(text).map(|_| Value::Text(text.to_owned())),
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Switch => match text {
                "on" | "true" | "1" | "yes" => Some(Value::Flag(true)),
                "off" | "false" | "0" | "no" => Some(Value::Flag(false)),
                _ => None,
            },
        }
    }
}

/// Bytes of a Kubernetes quantity: `128Mi`, `1G`, `1e6`, `0` (no limit). `None` when it is not one.
pub fn quantity(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1.0));
    let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let bytes = plain.then(|| digits.parse::<f64>().ok()).flatten()? * factor;
    (bytes.is_finite() && bytes <= u64::MAX as f64).then_some(bytes.ceil() as u64)
}

/// Reads after "allowed:" and in the tables.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("a path"),
            Self::Address => f.write_str("an IPv4 or IPv6 address"),
            Self::Count { min, max: u64::MAX, of } => write!(f, "{of}, a whole number from {min}"),
            Self::Count { min, max, of } => write!(f, "{of}, a whole number from {min} to {max}"),
            Self::Seconds { min, max } => write!(f, "seconds, from {min} to {max}"),
            Self::Mebibytes { max } => write!(f, "MiB, above 0, to {max}"),
            Self::Quantity => f.write_str("a Kubernetes quantity such as 128Mi"),
            Self::Choice(words) => f.write_str(&words.join(" or ")),
            Self::Switch => f.write_str("on or off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("128Mi", Some(134_217_728)),
            ("1.5Gi", Some(1_610_612_736)),
            ("64M", Some(64_000_000)),
            ("1e3", Some(1000)),
            ("100m", Some(1)),
            ("", None),
            ("Mi", None),
            ("-1", None),
            ("12 Mi", None),
            ("lots", None),
            ("infinity", None),
            ("1e999", None),
        ] {
            assert_eq!(quantity(text), bytes, "{text}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let seconds = Kind::Seconds { min: 0.5, max: 10.0 };
        assert_eq!(seconds.parse("0.5"), Some(Value::Time(Duration::from_millis(500))));
        for bad in ["0.4", "11", "-1", "NaN", "inf", "ten", "1 s"] {
            assert_eq!(seconds.parse(bad), None, "{bad}");
        }
        let count = Kind::Count { min: 1, max: 9, of: "things" };
        for bad in ["0", "10", "+1", "1.0", "99999999999999999999"] {
            assert_eq!(count.parse(bad), None, "{bad}");
        }
        let size = Kind::Mebibytes { max: 100.0 };
        assert_eq!(size.parse("1"), Some(Value::Number(1_048_576)));
        assert_eq!(size.parse("0.5"), Some(Value::Number(524_288)));
        assert_eq!(size.parse("0"), None);
    }
}
