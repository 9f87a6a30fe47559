//! Texts with placeholders.

use super::{
    FakeKind, invent,
    key::{Chooser, push_hex},
};

/// Hexadecimal digits of `{hash}`.
pub(super) const HASH_DIGITS: usize = 32;

/// A template that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hash(usize),
    Row,
    Fake(FakeKind),
}

impl Template {
    /// Parses a template. The error says what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = after.strip_prefix("{{").or_else(|| after.strip_prefix("}}")) {
                literal.push_str(&rest[at..=at]);
                rest = after;
                continue;
            }
            let inner = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = inner else {
                return Err(format!(
                    "the template {text:?} has a brace without its pair: write {{{{ or }}}} for a brace"
                ));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::parse(name)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Returns `true` if it names the row, so that equal values get different masks.
    pub(super) fn names_row(&self) -> bool {
        self.parts.contains(&Part::Row)
    }

    /// Returns `true` if different values get different texts.
    pub(super) fn keeps_unique(&self, min_digits: usize) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Row => true,
            Part::Hash(digits) => *digits >= min_digits,
            Part::Text(_) | Part::Fake(_) => false,
        })
    }

    /// Returns the most characters of a result, unless it holds fakes.
    pub(super) fn longest(&self) -> Option<usize> {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.chars().count()),
            Part::Hash(digits) => Some(*digits),
            // The digits of the number of a row; no table has 10^12.
            Part::Row => Some(12),
            Part::Fake(_) => None,
        });
        lengths.sum()
    }

    /// Returns the characters of a result that do not depend on fakes.
    pub(super) fn shortest(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.chars().count(),
            Part::Hash(digits) => *digits,
            Part::Row | Part::Fake(_) => 1,
        });
        lengths.sum()
    }

    /// Appends a result.
    pub(super) fn write(
        &self,
        digest: &[u8; 32],
        chooser: &mut Chooser,
        row: u64,
        value: &str,
        out: &mut Vec<u8>,
    ) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Hash(digits) => push_hex(digest, *digits, out),
                Part::Row => out.extend_from_slice(row.to_string().as_bytes()),
                Part::Fake(kind) => {
                    let fake = invent::plain(*kind, chooser, value.chars().count());
                    out.extend_from_slice(fake.as_bytes());
                }
            }
        }
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        if name == "row" {
            return Ok(Self::Row);
        }
        if name == "hash" {
            return Ok(Self::Hash(HASH_DIGITS));
        }
        if let Some(digits) = name.strip_prefix("hash:") {
            return match digits.parse() {
                Ok(digits @ 1..=64) => Ok(Self::Hash(digits)),
                _ => {
                    Err(format!("{{{name}}} is not a placeholder: write {{hash:1}} to {{hash:64}}"))
                }
            };
        }
        match FakeKind::ALL.iter().find(|kind| kind.as_str() == name) {
            Some(kind) => Ok(Self::Fake(*kind)),
            None => {
                let kinds: Vec<_> =
                    FakeKind::ALL.iter().map(|kind| format!("{{{kind}}}")).collect();
                Err(format!(
                    "{{{name}}} is not a placeholder: write {{hash}}, {{hash:8}}, {{row}}, {}",
                    kinds.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(template: &str, value: &str) -> String {
        let mut out = Vec::new();
        let digest = [0xab; 32];
        let template = Template::parse(template).unwrap();
        template.write(&digest, &mut Chooser::new(&digest), 7, value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(write("user-{row}@{hash:4}.invalid", "x"), "user-7@abab.invalid");
        assert_eq!(write("{hash}", "x").len(), 32);
        assert_eq!(write("{{hash}} }}", "x"), "{hash} }");
        assert_eq!(write("", "x"), "");
        let name = write("{first_name} {last_name}", "x");
        assert_eq!(name.split(' ').count(), 2);
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for template in ["{nobody}", "{hash:0}", "{hash:65}", "{hash:x}", "{row", "row}", "{}"] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains("write"), "{template}: {error}");
        }
    }

    #[test]
    fn what_a_template_keeps_is_known() {
        for (template, unique, longest, shortest) in [
            ("a{row}", true, Some(13), 2),
            ("{hash:10}", true, Some(10), 10),
            ("{hash:9}x", false, Some(10), 10),
            ("{name}", false, None, 1),
        ] {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.keeps_unique(10), unique);
            assert_eq!(template.longest(), longest);
            assert_eq!(template.shortest(), shortest);
        }
    }
}
