//! The text format of a metrics endpoint.

use std::str::FromStr;

/// Metrics in Prometheus'
/// [text format](https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), version 0.0.4.
///
/// # Examples
///
/// ```
/// use tenantry::activity::Exposition;
///
/// let text = "# TYPE up gauge\nup{job=\"web\"} 1\n";
/// let exposition: Exposition = text.parse()?;
/// assert_eq!(exposition.samples()[0].label("job"), Some("web"));
///
/// let error = "up{job=web} 1".parse::<Exposition>().unwrap_err();
/// assert_eq!(error.to_string(), "line 1: a label has no value in quotes");
/// # Ok::<(), tenantry::activity::ExpositionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    samples: Vec<Sample>,
}

/// A single value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The name, such as `tenantry_acquires_total`.
    pub name: String,
    /// The labels with their values, in order.
    pub labels: Vec<(String, String)>,
    /// The value; it may be infinite, or NaN.
    pub value: f64,
}

/// Position of an error in a metrics text.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ExpositionError {
    line: usize,
    problem: &'static str,
}

crate::error_report::readable_debug!(ExpositionError);

impl ExpositionError {
    /// Returns the line number, starting at 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

impl Exposition {
    /// Returns all values, in order.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Returns the values of one name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    /// Returns the value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

impl FromStr for Exposition {
    type Err = ExpositionError;

    fn from_str(text: &str) -> Result<Self, ExpositionError> {
        let mut samples = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_matches(BLANK);
            if !line.is_empty() && !line.starts_with('#') {
                let located = |problem| ExpositionError { line: index + 1, problem };
                samples.push(sample(line).map_err(located)?);
            }
        }
        Ok(Self { samples })
    }
}

const BLANK: [char; 2] = [' ', '\t'];

type Parsed<T> = Result<T, &'static str>;

fn sample(line: &str) -> Parsed<Sample> {
    let (name, rest) = name(line, ':')?;
    let rest = rest.trim_start_matches(BLANK);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut parts = rest.split(BLANK).filter(|part| !part.is_empty());
    let value = number(parts.next().ok_or("there is no value")?)?;
    if parts.next().is_some_and(|timestamp| timestamp.parse::<i64>().is_err()) {
        return Err("the timestamp is not a whole number");
    }
    match parts.next() {
        Some(_) => Err("something follows the timestamp"),
        None => Ok(Sample { name: name.to_owned(), labels, value }),
    }
}

/// Parses a name, with one additional allowed character.
fn name(text: &str, more: char) -> Parsed<(&str, &str)> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == more;
    let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
    match text.chars().next() {
        Some(first) if end > 0 && !first.is_ascii_digit() => Ok(text.split_at(end)),
        _ => Err("a name must start with a letter or an underscore"),
    }
}

/// Parses labels up to the closing brace.
fn labels(mut rest: &str) -> Parsed<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANK);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (label, after) = name(rest, '_')?;
        let after = after.trim_start_matches(BLANK).strip_prefix('=');
        let after = after.map(|after| after.trim_start_matches(BLANK));
        let quoted = after.and_then(|after| after.strip_prefix('"'));
        let (value, after) = string(quoted.ok_or("a label has no value in quotes")?)?;
        labels.push((label.to_owned(), value));
        rest = after.trim_start_matches(BLANK);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("the labels do not end"),
        }
    }
}

/// Parses a string up to the closing quote.
fn string(text: &str) -> Parsed<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(character) = chars.next() {
        match character {
            '"' => return Ok((value, chars.as_str())),
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('\\' | '"')) => value.push(escaped),
                // Like Prometheus.
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("a label's value does not end")
}

fn number(text: &str) -> Parsed<f64> {
    // Rust parses Go's format: `NaN`, `+Inf`, `1e+06`.
    text.parse().map_err(|_| "the value is no number")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_format_allows() {
        let text = "# HELP a Says \\ what.\n# TYPE a counter\n\na 1\n  b{ x = \"1\" , y=\"a\\\"b\\\\c\\nd}\" ,} \
                    -2.5e3 1700000000000\nc:d{} +Inf\ne NaN\r\n# EOF";
        let exposition: Exposition = text.parse().unwrap();
        let [a, b, c, e] = exposition.samples() else { panic!("{exposition:?}") };
        assert_eq!((&*a.name, a.value), ("a", 1.0));
        assert_eq!(
            (b.label("x"), b.label("y"), b.value),
            (Some("1"), Some("a\"b\\c\nd}"), -2500.0)
        );
        assert_eq!((&*c.name, c.value), ("c:d", f64::INFINITY));
        assert!(e.value.is_nan());
    }

    #[test]
    fn says_where_it_is_wrong() {
        for (text, line, problem) in [
            ("a 1\n1a 2", 2, "a name must start with a letter or an underscore"),
            ("a", 1, "there is no value"),
            ("a x", 1, "the value is no number"),
            ("a 1 2 3", 1, "something follows the timestamp"),
            ("a 1 x", 1, "the timestamp is not a whole number"),
            ("a{b=\"c} 1", 1, "a label's value does not end"),
            ("a{b=\"c\\", 1, "a label's value does not end"),
            ("a{b} 1", 1, "a label has no value in quotes"),
            ("a{b=\"c\" d=\"e\"} 1", 1, "the labels do not end"),
            ("a{b=\"c\"", 1, "the labels do not end"),
            ("<html>", 1, "a name must start with a letter or an underscore"),
        ] {
            assert_eq!(
                text.parse::<Exposition>(),
                Err(ExpositionError { line, problem }),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn reads_anything_without_a_panic(text in "([a-z0-9_:]{0,3}[\\{\\}=\", \\\\]{0,3}\\PC{0,4}\n?){0,6}") {
            let _ = text.parse::<Exposition>();
        }

        #[test]
        fn reads_what_was_written(name in "[a-z_:][a-z0-9_:]{0,8}", value in "\\PC{0,12}", number in any::<i32>()) {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("{name}{{tenant=\"{escaped}\"}} {number}");
            let exposition: Exposition = text.parse().unwrap();
            prop_assert_eq!(exposition.samples().len(), 1);
            let sample = &exposition.samples()[0];
            prop_assert_eq!(sample.label("tenant"), Some(value.as_str()));
            prop_assert_eq!(sample.value, f64::from(number));
        }
    }
}
