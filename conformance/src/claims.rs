//! What a target claims, and the least that it may claim.

use std::path::Path;

use serde::Deserialize;

use crate::result::Claims;

/// What a target says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Where this was read; empty if nowhere.
    pub source: String,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The language of its functions.
    pub language: Option<String>,
    /// What it promises beyond the core.
    pub capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct Written {
    name: Option<String>,
    version: Option<String>,
    language: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl Description {
    /// From JSON as `--describe` prints it; `source` is for messages.
    pub fn from_json(text: &str, source: &str) -> Result<Self, String> {
        let written = serde_json::from_str(text)
            .map_err(|problem| format!("{source}: it is not JSON as expected: {problem}"))?;
        Ok(Self::new(written, source))
    }

    /// From a file: JSON if its name ends so, TOML otherwise.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let source = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|problem| format!("{source}: {problem}"))?;
        if path.extension().is_some_and(|suffix| suffix == "json") {
            return Self::from_json(&text, &source);
        }
        let written = toml::from_str(&text).map_err(|problem| format!("{source}: {problem}"))?;
        Ok(Self::new(written, &source))
    }

    fn new(written: Written, source: &str) -> Self {
        let Written { name, version, language, mut capabilities } = written;
        capabilities.sort_unstable();
        capabilities.dedup();
        Self { source: source.to_owned(), name, version, language, capabilities }
    }

    /// As a report has it.
    pub fn claims(&self) -> Claims {
        let source = if self.source.is_empty() { "nowhere: it claims the core alone" } else { &self.source };
        Claims { source: source.to_owned(), capabilities: self.capabilities.clone() }
    }
}

/// The least that an image may claim. Otherwise a regression could be made green by claiming less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Where it was read.
    pub source: String,
    /// What has to be claimed.
    pub capabilities: Vec<String>,
}

impl Floor {
    /// From a file.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let Description { source, capabilities, .. } = Description::from_file(path)?;
        Ok(Self { source, capabilities })
    }

    /// What it asks for and `claims` lacks.
    pub fn missing(&self, claims: &Claims) -> Vec<String> {
        self.capabilities.iter().filter(|name| !claims.capabilities.contains(name)).cloned().collect()
    }
}
