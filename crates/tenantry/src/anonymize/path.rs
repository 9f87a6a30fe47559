//! Places inside a document, an array or a composite.

/// A path: keys and fields separated by dots, `[*]` for any element of an array, `*` for any key or field, `**` for
/// any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    AnyKey,
    AnyElement,
    AnyDepth,
}

/// The positions in a path that are reached on the way to a value, as bits: bit `n` means that `n` steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached(u64);

/// The most steps of a path, so that [`Reached`] has a bit for each and one for the end.
const MAX_STEPS: usize = 60;

impl Path {
    /// Parses a path. The error says what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            let example = "write keys with dots, such as contact.email, items[*].name or **.email";
            Err(format!("the path {text:?} {what}: {example}"))
        };
        let (mut steps, mut rest, mut wants_name) = (Vec::new(), text, true);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[*]") {
                steps.push(Step::AnyElement);
                (rest, wants_name) = (after, false);
            } else if let Some(after) = rest.strip_prefix('.').filter(|_| !wants_name) {
                (rest, wants_name) = (after, true);
            } else if wants_name {
                let Some((step, after)) = name(rest) else { return wrong("cannot be read") };
                steps.push(step);
                (rest, wants_name) = (after, false);
            } else {
                return wrong("lacks a dot");
            }
        }
        match steps.len() {
            _ if wants_name => wrong("ends too early"),
            0..=MAX_STEPS => Ok(Self { steps }),
            _ => wrong("has more than 60 steps"),
        }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the path that is left after some steps.
    pub(super) fn rest(steps: &[Step]) -> Self {
        Self { steps: steps.to_vec() }
    }

    /// Returns the position before any step.
    pub(super) fn start(&self) -> Reached {
        self.with_depths(Reached(1))
    }

    /// Returns the positions below a key.
    pub(super) fn below_key(&self, reached: Reached, key: &str) -> Reached {
        self.advance(reached, |step| match step {
            Step::Key(wanted) => wanted == key,
            Step::AnyKey => true,
            Step::AnyElement | Step::AnyDepth => false,
        })
    }

    /// Returns the positions below an array element.
    pub(super) fn below_element(&self, reached: Reached) -> Reached {
        self.advance(reached, |step| matches!(step, Step::AnyElement))
    }

    /// Returns `true` if all steps are done.
    pub(super) fn is_end(&self, reached: Reached) -> bool {
        reached.0 & (1 << self.steps.len()) != 0
    }

    fn advance(&self, reached: Reached, takes: impl Fn(&Step) -> bool) -> Reached {
        let mut next = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if reached.0 & (1 << at) != 0 {
                if takes(step) {
                    next |= 1 << (at + 1);
                }
                if *step == Step::AnyDepth {
                    next |= 1 << at;
                }
            }
        }
        self.with_depths(Reached(next))
    }

    /// `**` also matches zero steps.
    fn with_depths(&self, mut reached: Reached) -> Reached {
        for (at, step) in self.steps.iter().enumerate() {
            if *step == Step::AnyDepth && reached.0 & (1 << at) != 0 {
                reached.0 |= 1 << (at + 1);
            }
        }
        reached
    }
}

/// Reads a key, which is quoted if it contains a dot, a bracket or a star.
fn name(text: &str) -> Option<(Step, &str)> {
    if let Some(after) = text.strip_prefix("**") {
        return Some((Step::AnyDepth, after));
    }
    if let Some(after) = text.strip_prefix('*') {
        return Some((Step::AnyKey, after));
    }
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, after) = quoted.split_once('"')?;
        return Some((Step::Key(key.to_owned()), after));
    }
    let (key, after) = text.split_at(text.find(['.', '[', '*', '"']).unwrap_or(text.len()));
    (!key.is_empty()).then(|| (Step::Key(key.to_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows keys, and elements where a step is `#`.
    fn leads_to(path: &str, way: &[&str]) -> bool {
        let path = Path::parse(path).unwrap();
        let reached = way.iter().fold(path.start(), |reached, step| match *step {
            "#" => path.below_element(reached),
            key => path.below_key(reached, key),
        });
        path.is_end(reached)
    }

    #[test]
    fn a_path_leads_to_values() {
        for (path, way, expected) in [
            ("email", &["email"][..], true),
            ("email", &["name"], false),
            ("email", &[], false),
            ("email", &["email", "x"], false),
            ("contact.email", &["contact", "email"], true),
            ("contact.*", &["contact", "phone"], true),
            ("contact.*", &["contact", "#"], false),
            ("items[*].name", &["items", "#", "name"], true),
            ("items[*].name", &["items", "name"], false),
            ("[*]", &["#"], true),
            ("[*][*]", &["#", "#"], true),
            ("**", &[], true),
            ("**", &["a", "#", "b"], true),
            ("**.email", &["email"], true),
            ("**.email", &["a", "#", "email"], true),
            ("**.email", &["a", "email", "x"], false),
            ("a.**.b", &["a", "b"], true),
            ("a.**.b", &["a", "b", "c", "b"], true),
            (r#""a.b".c"#, &["a.b", "c"], true),
            (r#""*""#, &["x"], false),
        ] {
            assert_eq!(leads_to(path, way), expected, "{path} {way:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "a.", ".a", "a..b", "a[0]", "[*]a", r#""a"#, "a]b[", "***"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse(&["a"; 61].join(".")).is_err());
        assert!(Path::parse(&["a"; 60].join(".")).is_ok());
    }
}
