//! Prometheus' text format, as far as the suite asks.

/// One line of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// What `/metrics` shows.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// All samples.
    pub samples: Vec<Sample>,
    /// The families that have a `# HELP` line.
    pub helped: Vec<String>,
    /// The families that have a `# TYPE` line, with their type.
    pub typed: Vec<(String, String)>,
}

impl Metrics {
    /// Reads the text; the error names the line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                metrics.helped.push(rest.split(' ').next().unwrap_or_default().to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| format!("{line:?} names no type"))?;
                metrics.typed.push((name.to_owned(), kind.trim().to_owned()));
            } else if !line.starts_with('#') {
                metrics.samples.push(sample(line).ok_or_else(|| format!("{line:?} is no sample"))?);
            }
        }
        Ok(metrics)
    }

    /// The value of the series with this name and these labels, or with more; 0 when there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &Sample| {
            labels.iter().all(|(name, value)| {
                sample.labels.iter().any(|(known, found)| known == name && found == value)
            })
        };
        self.samples
            .iter()
            .filter(|sample| sample.name == name && has(sample))
            .map(|sample| sample.value)
            .sum()
    }

    /// How many calls of a method were counted.
    pub fn calls(&self, method: &str) -> f64 {
        self.value("function_calls_total", &[("method", method)])
    }

    /// How many calls were counted.
    pub fn all_calls(&self) -> f64 {
        self.value("function_calls_total", &[])
    }

    /// How many failures of a method were counted.
    pub fn failures(&self, method: &str) -> f64 {
        self.value("function_failures_total", &[("method", method)])
    }

    /// The samples of the function's metrics, as a report shows them.
    pub fn of_functions(&self) -> String {
        let lines: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.name.starts_with("function_") && !sample.name.ends_with("_bucket"))
            .map(|sample| format!("{}{:?} {}", sample.name, sample.labels, sample.value))
            .collect();
        lines.join("\n")
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, rest) = match line.find('{') {
        Some(_) => line.split_at(line.rfind('}')? + 1),
        None => line.split_at(line.find(' ')?),
    };
    let value = match rest.split_whitespace().next()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    let Some((name, labels)) = series.split_once('{') else {
        return is_name(series).then(|| Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    let mut found = Vec::new();
    let mut left = labels.strip_suffix('}')?;
    while !left.is_empty() {
        let (label, after) = left.split_once("=\"")?;
        let (end, _) =
            after.char_indices().find(|&(at, sign)| sign == '"' && !after[..at].ends_with('\\'))?;
        found.push((label.trim().to_owned(), after[..end].to_owned()));
        left = after[end + 1..].trim_start_matches(',');
    }
    is_name(name).then(|| Sample { name: name.to_owned(), labels: found, value })
}

fn is_name(name: &str) -> bool {
    let is_known = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == ':';
    name.chars().next().is_some_and(|first| !first.is_ascii_digit()) && name.chars().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP calls How many\n# TYPE calls counter\ncalls{method=\"GET\",path=\"a} \\\"b\\\"\"} 3\n\
                    function_calls_total{method=\"GET\"} 2\nfunction_calls_total{method=\"POST\"} 1e1\nup 1 1700000000\n";
        let metrics = Metrics::parse(text).expect("metrics");
        assert_eq!(metrics.helped, ["calls"]);
        assert_eq!(metrics.typed, [("calls".to_owned(), "counter".to_owned())]);
        let labels = &metrics.samples[0].labels;
        assert_eq!(labels[1], ("path".to_owned(), "a} \\\"b\\\"".to_owned()));
        let values = [metrics.calls("GET"), metrics.calls("POST"), metrics.all_calls(), metrics.calls("PUT")];
        assert_eq!(values, [2.0, 10.0, 12.0, 0.0]);
        assert_eq!(metrics.value("up", &[]), 1.0);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for line in ["no number", "open{method=\"GET 1", "9digits 1", "# TYPE nothing"] {
            let problem = Metrics::parse(line).expect_err("a mistake");
            assert!(problem.contains(line) || problem.contains(&line.replace('"', "\\\"")), "{problem}");
        }
    }
}
