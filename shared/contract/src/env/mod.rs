//! Every environment variable, as data: the only place that knows a variable's name.
//!
//! `--help`, the README's table and the messages about bad values are all made from these rows.

mod kind;
mod settings;
mod table;

pub use kind::{Kind, Value, quantity};
pub use settings::{Invalid, Settings, Variables};
pub use table::*;

/// One row of the table.
#[derive(Debug, PartialEq)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// A second name that is read when the first is not set.
    pub alias: Option<&'static str>,
    /// What values it takes, and in which unit.
    pub kind: Kind,
    /// The value when it is not set, in the form a user would write it.
    pub default: Option<&'static str>,
    /// Whether a start without it is an error.
    pub required: bool,
    /// Which runtime reads it.
    pub scope: Scope,
    /// Where the name comes from.
    pub origin: Origin,
    /// What it does, in one or two sentences.
    pub meaning: &'static str,
}

/// Which runtimes read a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them: the server itself reads it.
    Every,
    /// The engine of this name only.
    Only(&'static str),
}

impl Scope {
    /// Whether the engine called `name` is concerned.
    pub fn includes(self, name: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Only(engine) => engine == name,
        }
    }
}

/// Who introduced a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Set by the Kubeless controller or named in its guide for any runtime.
    Kubeless,
    /// Known to one of the Kubeless runtimes only.
    KubelessRuntime(&'static str),
    /// The runtime contract of Knative.
    Knative,
    /// Introduced here.
    Funchost,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubeless => f.write_str("Kubeless"),
            Self::KubelessRuntime(language) => write!(f, "Kubeless {language}"),
            Self::Knative => f.write_str("Knative"),
            Self::Funchost => f.write_str("funchost"),
        }
    }
}
