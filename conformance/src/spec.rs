//! SPEC.md as data: the one place where requirements are worded.

use std::sync::LazyLock;

use crate::result::Level;

/// The text that people read.
pub const TEXT: &str = include_str!("../SPEC.md");

/// One numbered requirement.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// `area.n`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// The capability that it belongs to, if not to the core.
    pub capability: Option<String>,
    /// A line.
    pub title: String,
    /// What is required, in full.
    pub text: String,
    /// Whose requirement it is.
    pub source: String,
}

/// All of SPEC.md.
#[derive(Debug)]
pub struct Spec {
    /// Its version.
    pub version: String,
    /// In their order.
    pub requirements: Vec<Requirement>,
}

impl Spec {
    /// The requirement of this number.
    pub fn find(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.id == id)
    }
}

/// The specification that this program was built with.
pub fn spec() -> &'static Spec {
    static SPEC: LazyLock<Spec> = LazyLock::new(|| {
        // It is part of the program, and a test reads it.
        parse(TEXT).unwrap_or_else(|problem| panic!("SPEC.md: {problem}"))
    });
    &SPEC
}

/// Reads requirements: `### area.n (LEVEL) title`, or `(LEVEL, capability)`, then the text, then `Source: whose.`
pub fn parse(text: &str) -> Result<Spec, String> {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .ok_or("there is no line \"Version: n\"")?
        .trim()
        .to_owned();
    let mut requirements = Vec::new();
    for section in text.split("\n### ").skip(1) {
        let (heading, rest) = section.split_once('\n').ok_or_else(|| format!("\"{section}\" has no text"))?;
        let body = rest.split("\n## ").next().unwrap_or_default();
        requirements.push(requirement(heading, body).ok_or_else(|| {
            format!("\"{heading}\" is not `area.n (MUST|SHOULD|MAY[, capability]) title` with a text and a line `Source: `")
        })?);
    }
    Ok(Spec { version, requirements })
}

fn requirement(heading: &str, body: &str) -> Option<Requirement> {
    let (id, rest) = heading.split_once(" (")?;
    let (binding, title) = rest.split_once(") ")?;
    let (level, capability) = match binding.split_once(", ") {
        Some((level, capability)) => (level, Some(capability.to_owned())),
        None => (binding, None),
    };
    let level = match level {
        "MUST" => Level::Must,
        "SHOULD" => Level::Should,
        "MAY" => Level::May,
        _ => return None,
    };
    let (text, source) = body.split_once("Source: ")?;
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Requirement {
        id: id.to_owned(),
        level,
        capability,
        title: title.to_owned(),
        text: words(text),
        source: words(source).trim_end_matches('.').to_owned(),
    })
}
