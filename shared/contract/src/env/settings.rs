//! Reading the table's variables from wherever the process keeps them.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{TABLE, Value, Variable, quantity};

/// A source of variables: the process environment, or a map in a test.
pub trait Variables {
    /// The value of `name`, `None` when it is not set. An error is a value that is not UTF-8.
    fn get(&self, name: &str) -> Result<Option<String>, String>;
}

impl<K: Ord + std::borrow::Borrow<str>, V: AsRef<str>> Variables for BTreeMap<K, V> {
    fn get(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.get(name).map(|value| value.as_ref().to_owned()))
    }
}

/// The validated values of all rows that concern one engine.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<&'static str, Value>);

/// One bad variable: its name, its value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The variable, or its alias where that was the one set.
    pub name: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.problem)
    }
}

impl Settings {
    /// Reads every row that concerns the engine called `engine`; all mistakes come back together.
    ///
    /// A variable that is set to the empty string counts as not set: manifests often leave one so.
    pub fn read(engine: &str, variables: &impl Variables) -> Result<Self, Vec<Invalid>> {
        Self::read_rows(TABLE.iter().filter(|row| row.scope.includes(engine)), variables)
    }

    /// Reads these rows only, for a command that needs no others.
    pub fn read_rows(
        rows: impl IntoIterator<Item = &'static Variable>,
        variables: &impl Variables,
    ) -> Result<Self, Vec<Invalid>> {
        let mut values = BTreeMap::new();
        let mut mistakes = Vec::new();
        for row in rows {
            match read_row(row, variables) {
                Ok(Some(value)) => {
                    values.insert(row.name, value);
                }
                Ok(None) => {}
                Err(invalid) => mistakes.push(invalid),
            }
        }
        if mistakes.is_empty() { Ok(Self(values)) } else { Err(mistakes) }
    }

    /// The same settings as if this variable were not set and had no default.
    #[must_use]
    pub fn without(mut self, row: &Variable) -> Self {
        self.0.remove(row.name);
        self
    }

    /// The bytes that a row of a quantity allows, when it is set or has a default. 0 says that there is no limit.
    pub fn bytes(&self, row: &Variable) -> Option<u64> {
        self.text(row).and_then(quantity).filter(|bytes| *bytes > 0)
    }

    /// The value of a row of text, path, address, choice or quantity, when it is set or has a default.
    pub fn text(&self, row: &Variable) -> Option<&str> {
        match self.0.get(row.name) {
            Some(Value::Text(text)) => Some(text),
            Some(other) => unreachable!("{} is {other:?}, not text", row.name),
            None => None,
        }
    }

    /// The value of a count, or of a size in bytes.
    pub fn number(&self, row: &Variable) -> Option<u64> {
        match self.0.get(row.name) {
            Some(Value::Number(number)) => Some(*number),
            Some(other) => unreachable!("{} is {other:?}, not a number", row.name),
            None => None,
        }
    }

    /// The value of a row of seconds.
    pub fn time(&self, row: &Variable) -> Option<Duration> {
        match self.0.get(row.name) {
            Some(Value::Time(time)) => Some(*time),
            Some(other) => unreachable!("{} is {other:?}, not a time", row.name),
            None => None,
        }
    }

    /// Whether a switch is on; one without a default is off.
    pub fn is_on(&self, row: &Variable) -> bool {
        match self.0.get(row.name) {
            Some(Value::Flag(on)) => *on,
            Some(other) => unreachable!("{} is {other:?}, not a switch", row.name),
            None => false,
        }
    }
}

fn read_row(row: &'static Variable, variables: &impl Variables) -> Result<Option<Value>, Invalid> {
    for name in [Some(row.name), row.alias].into_iter().flatten() {
        let invalid = |problem| Invalid { name, problem };
        let set = variables.get(name).map_err(|lossy| {
            invalid(format!(" has the value \"{}\", which is not UTF-8 text", lossy.escape_debug()))
        })?;
        if let Some(text) = set.filter(|text| !text.is_empty()) {
            return row.kind.parse(&text).map(Some).ok_or_else(|| {
                invalid(format!(" has the value \"{}\"; allowed: {}", text.escape_debug(), row.kind))
            });
        }
    }
    if row.required {
        return Err(Invalid { name: row.name, problem: format!(" is not set; it names {}", row.meaning) });
    }
    Ok(row.default.and_then(|text| row.kind.parse(text)))
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn minimal() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([("MOD_NAME", "hello"), ("FUNC_HANDLER", "handler")])
    }

    #[test]
    fn every_default_is_a_value_its_own_row_allows() {
        for row in TABLE {
            if let Some(default) = row.default {
                assert!(row.kind.parse(default).is_some(), "{} = {default}", row.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: Vec<_> = TABLE.iter().flat_map(|row| [Some(row.name), row.alias]).flatten().collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), unique.len());
    }

    #[test]
    fn all_mistakes_are_reported_together_with_name_value_and_what_is_allowed() {
        let variables =
            BTreeMap::from([("FUNC_PORT", "80a"), ("FUNC_TIMEOUT", "-1"), ("FUNC_CORS", "maybe")]);
        let mistakes = Settings::read("python", &variables).unwrap_err();
        let text: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 5, "{text:#?}");
        assert!(text[0].starts_with("MOD_NAME is not set; it names "), "{text:#?}");
        assert!(text[1].starts_with("FUNC_HANDLER is not set; it names "), "{text:#?}");
        let port = r#"FUNC_PORT has the value "80a"; allowed: a port, a whole number from 0 to 65535"#;
        assert!(text.iter().any(|line| line == port), "{text:#?}");
        let switch = r#"FUNC_CORS has the value "maybe"; allowed: on or off"#;
        assert!(text.iter().any(|line| line == switch), "{text:#?}");
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let mut variables = minimal();
        variables.insert("FUNC_TIMEOUT", "");
        let settings = Settings::read("python", &variables).unwrap();
        assert_eq!(settings.time(&FUNC_TIMEOUT), Some(Duration::from_secs(180)));
    }

    #[test]
    fn the_alias_is_read_when_the_name_is_not_set() {
        let mut variables = minimal();
        variables.insert("PORT", "9000");
        assert_eq!(Settings::read("go", &variables).unwrap().number(&FUNC_PORT), Some(9000));
        variables.insert("FUNC_PORT", "9001");
        assert_eq!(Settings::read("go", &variables).unwrap().number(&FUNC_PORT), Some(9001));
    }

    #[test]
    fn rows_of_another_language_are_not_read() {
        let mut variables = minimal();
        variables.insert("FUNC_THREADS", "none");
        assert!(Settings::read("go", &variables).is_ok());
        assert!(Settings::read("python", &variables).is_err());
    }
}
