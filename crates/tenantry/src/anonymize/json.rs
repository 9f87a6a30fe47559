//! Values inside JSON, replaced in place.
//!
//! The text is not parsed into a tree: parts without a rule are copied byte by byte, which preserves the order of
//! keys, duplicate keys, whitespace and digits that a float could not hold.

use super::{
    json_text::{decode, encode, string_length, value_length},
    leaf::Leaf,
    outcome::{Outcome, Unfit},
    path::{Path, Reached},
    row::Row,
    tally::Sink,
};

/// Masks for places in a document. The first one whose path leads to a value, or to its container, is applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonMasker {
    pub(super) rules: Vec<(Path, JsonMask)>,
}

/// A mask for a place. On an object or an array it applies to everything inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JsonMask {
    Keep,
    /// A JSON text that replaces the whole value.
    Replace(String),
    /// Masks for strings and numbers. A number without one is masked like a string, and becomes one.
    Scalars {
        string: Option<Leaf>,
        number: Option<Leaf>,
    },
}

impl JsonMask {
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let (string, number) = match self {
            Self::Scalars { string, number } => (string.as_ref(), number.as_ref()),
            Self::Keep | Self::Replace(_) => (None, None),
        };
        string.into_iter().chain(number)
    }

    pub(super) fn leaves_mut(&mut self) -> impl Iterator<Item = &mut Leaf> {
        let (string, number) = match self {
            Self::Scalars { string, number } => (string.as_mut(), number.as_mut()),
            Self::Keep | Self::Replace(_) => (None, None),
        };
        string.into_iter().chain(number)
    }
}

/// The most levels of a document.
const MAX_DEPTH: usize = 10_000;

impl JsonMasker {
    /// Appends a document with its values masked.
    pub(super) fn mask(
        &self,
        document: &[u8],
        row: &Row<'_>,
        sink: &mut Sink<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let walk = Walk {
            masker: self,
            row,
            sink,
            out,
            text: document,
            at: 0,
            frames: Vec::new(),
            reached: self.rules.iter().map(|(path, _)| path.start()).collect(),
            decoded: Vec::new(),
            mask: Vec::new(),
        };
        walk.document()
    }
}

/// An object or an array that has been entered.
struct Frame {
    is_object: bool,
    is_empty: bool,
    winner: Option<usize>,
}

/// A walk over a document. For each frame and then for the next value, `reached` contains how much of each path is
/// matched.
struct Walk<'a, 's> {
    masker: &'a JsonMasker,
    row: &'a Row<'a>,
    sink: &'a mut Sink<'s>,
    out: &'a mut Vec<u8>,
    text: &'a [u8],
    at: usize,
    frames: Vec<Frame>,
    reached: Vec<Reached>,
    decoded: Vec<u8>,
    mask: Vec<u8>,
}

impl Walk<'_, '_> {
    fn document(mut self) -> Result<(), Unfit> {
        self.value(None)?;
        while !self.frames.is_empty() {
            self.step()?;
        }
        self.blanks();
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(Unfit::NotJson),
        }
    }

    /// Reads the next element, member or end of the innermost frame.
    fn step(&mut self) -> Result<(), Unfit> {
        self.blanks();
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let (is_object, winner) = (frame.is_object, frame.winner);
        let was_empty = std::mem::replace(&mut frame.is_empty, false);
        match self.text.get(self.at) {
            Some(b'}') if is_object => {}
            Some(b']') if !is_object => {}
            Some(b',') if !was_empty => {
                self.copy(1);
                self.blanks();
                return self.member(is_object, winner);
            }
            Some(_) if was_empty => return self.member(is_object, winner),
            _ => return Err(Unfit::NotJson),
        }
        self.copy(1);
        self.frames.pop();
        self.leave();
        Ok(())
    }

    fn member(&mut self, is_object: bool, winner: Option<usize>) -> Result<(), Unfit> {
        match is_object {
            true => self.key()?,
            false => descend(&self.masker.rules, &mut self.reached, Path::below_element),
        }
        self.value(winner)
    }

    /// Reads a key and the colon after it.
    fn key(&mut self) -> Result<(), Unfit> {
        let length = string_length(self.rest()).ok_or(Unfit::NotJson)?;
        let inner = &self.text[self.at + 1..self.at + length - 1];
        decode(inner, &mut self.decoded).ok_or(Unfit::NotJson)?;
        let key = std::str::from_utf8(&self.decoded).map_err(|_| Unfit::NotUtf8)?;
        descend(&self.masker.rules, &mut self.reached, |path, at| path.below_key(at, key));
        self.copy(length);
        self.blanks();
        if self.text.get(self.at) != Some(&b':') {
            return Err(Unfit::NotJson);
        }
        self.copy(1);
        self.blanks();
        Ok(())
    }

    /// Reads a value, up to the first member of an object or an array. The matched parts of the paths are at the end
    /// of `reached`; they are removed after a complete value.
    fn value(&mut self, above: Option<usize>) -> Result<(), Unfit> {
        self.blanks();
        let masker = self.masker;
        let winner = self.winner(above);
        let mask = winner.and_then(|winner| masker.rules.get(winner)).map(|(_, mask)| mask);
        let first = *self.rest().first().ok_or(Unfit::NotJson)?;
        match (mask, first) {
            (Some(JsonMask::Replace(json)), _) => self.replace(json)?,
            (_, b'{' | b'[') => return self.enter(first == b'{', winner),
            (_, b'"') => self.string(mask)?,
            _ => self.token(mask)?,
        }
        self.leave();
        Ok(())
    }

    /// Returns the first rule whose path ends at the next value or above it.
    fn winner(&self, above: Option<usize>) -> Option<usize> {
        let rules = &self.masker.rules;
        let reached = &self.reached[self.reached.len() - rules.len()..];
        let own = rules.iter().zip(reached).position(|((path, _), at)| path.is_end(*at));
        own.into_iter().chain(above).min()
    }

    /// Replaces a whole value. A null that stays null is not counted.
    fn replace(&mut self, json: &str) -> Result<(), Unfit> {
        let length = value_length(self.rest()).ok_or(Unfit::NotJson)?;
        let value = &self.text[self.at..self.at + length];
        collect_strings(value, self.sink, &mut self.decoded);
        self.out.extend_from_slice(json.as_bytes());
        self.at += length;
        match (json, *value == *json.as_bytes()) {
            ("null", true) => {}
            (_, true) => self.sink.count(Outcome::Unchanged),
            ("null", false) => self.sink.count(Outcome::Null),
            (_, false) => self.sink.count(Outcome::Masked),
        }
        Ok(())
    }

    /// Enters an object or an array.
    fn enter(&mut self, is_object: bool, winner: Option<usize>) -> Result<(), Unfit> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Unfit::TooDeep);
        }
        self.copy(1);
        self.frames.push(Frame { is_object, is_empty: true, winner });
        Ok(())
    }

    fn string(&mut self, mask: Option<&JsonMask>) -> Result<(), Unfit> {
        let length = string_length(self.rest()).ok_or(Unfit::NotJson)?;
        let Some(JsonMask::Scalars { string, .. }) = mask else {
            self.copy(length);
            return Ok(());
        };
        let inner = &self.text[self.at + 1..self.at + length - 1];
        decode(inner, &mut self.decoded).ok_or(Unfit::NotJson)?;
        let leaf = string.as_ref().ok_or(Unfit::NotANumber)?;
        self.mask.clear();
        self.sink.apply(leaf, &self.decoded, self.row, &mut self.mask)?;
        encode(&self.mask, self.out);
        self.at += length;
        Ok(())
    }

    /// Reads a number, `true`, `false` or `null`.
    fn token(&mut self, mask: Option<&JsonMask>) -> Result<(), Unfit> {
        let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
        let length = self.rest().iter().position(is_end).unwrap_or(self.rest().len());
        let token = &self.text[self.at..self.at + length];
        let is_number = token.first().is_some_and(|byte| matches!(byte, b'-' | b'0'..=b'9'));
        match (mask, token) {
            (Some(JsonMask::Scalars { string, number }), _) if is_number => {
                self.number(token, string.as_ref(), number.as_ref())?;
                self.at += length;
            }
            (Some(JsonMask::Scalars { .. }), b"true" | b"false") => {
                self.sink.count(Outcome::Neutral);
                self.copy(length);
            }
            (_, b"true" | b"false" | b"null") => self.copy(length),
            _ if is_number => self.copy(length),
            _ => return Err(Unfit::NotJson),
        }
        Ok(())
    }

    /// Masks a number, as a string if there is no mask for numbers.
    fn number(
        &mut self,
        token: &[u8],
        string: Option<&Leaf>,
        number: Option<&Leaf>,
    ) -> Result<(), Unfit> {
        let leaf = number.or(string).ok_or(Unfit::NotJson)?;
        self.mask.clear();
        self.sink.apply(leaf, token, self.row, &mut self.mask)?;
        match number {
            Some(_) => self.out.extend_from_slice(&self.mask),
            None => encode(&self.mask, self.out),
        }
        Ok(())
    }

    /// Removes what was matched at a complete value.
    fn leave(&mut self) {
        self.reached.truncate(self.reached.len() - self.masker.rules.len());
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let count = self.rest().iter().take_while(is_blank).count();
        self.copy(count);
    }

    fn copy(&mut self, length: usize) {
        let end = (self.at + length).min(self.text.len());
        self.out.extend_from_slice(&self.text[self.at..end]);
        self.at = end;
    }
}

/// Appends how much of each path is matched one level below the innermost value.
fn descend(
    rules: &[(Path, JsonMask)],
    reached: &mut Vec<Reached>,
    below: impl Fn(&Path, Reached) -> Reached,
) {
    let parent = reached.len() - rules.len();
    for (at, (path, _)) in rules.iter().enumerate() {
        reached.push(below(path, reached[parent + at]));
    }
}

/// Passes every string and number of a value that is replaced as a whole to the collector.
fn collect_strings(value: &[u8], sink: &mut Sink<'_>, decoded: &mut Vec<u8>) {
    if !sink.collects() {
        return;
    }
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if *byte == b'"' {
            let Some(length) = string_length(&value[at..]) else { return };
            if decode(&value[at + 1..at + length - 1], decoded).is_some() {
                sink.collect(decoded);
            }
            at += length;
        } else {
            let is_end = |byte: &u8| b",:[]{}\" \t\n\r".contains(byte);
            let length = value[at..].iter().position(is_end).unwrap_or(value.len() - at);
            sink.collect(&value[at..at + length]);
            at += length.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            Key, Mask,
            collector::Collector,
            fit::{Fitting, fit},
            masker::Masker,
            row::Keyed,
            shape::Shape,
            tally::Tally,
        },
        *,
    };

    fn masker(rules: &[(&str, Mask)]) -> JsonMasker {
        let fittings = rules.iter().map(|(path, mask)| Fitting {
            rule: 1,
            path: Some(Path::parse(path).unwrap()),
            mask,
        });
        match fit(&fittings.collect::<Vec<_>>(), &Shape::Json, "jsonb", "data").unwrap() {
            Masker::Json(masker) => masker,
            other => panic!("{other:?}"),
        }
    }

    fn run(masker: &JsonMasker, document: &str) -> (Result<String, Unfit>, Tally, usize) {
        let key = Key::from_bytes([1; 32]).unwrap();
        let keyed = Keyed::new(&key);
        let row = Row { keyed: &keyed, table: "t", number: 1, fields: &[], identity: &[] };
        let (mut tally, mut collector) = (Tally::default(), Collector::new(1_000_000, &key));
        let mut sink = Sink { tally: &mut tally, collector: Some(&mut collector), origin: 0 };
        let mut out = Vec::new();
        let result = masker.mask(document.as_bytes(), &row, &mut sink, &mut out);
        (result.map(|()| String::from_utf8(out).unwrap()), tally, collector.len())
    }

    fn constant(text: &str) -> Mask {
        Mask::Constant(text.to_owned())
    }

    #[test]
    fn places_are_masked_and_the_rest_stays() {
        for (path, document, expected) in [
            ("a", r#"{"a": "secret", "b" : 1.50}"#, r#"{"a": "X", "b" : 1.50}"#),
            ("a.b", r#"{"a":{"b":1,"c":2},"b":3}"#, r#"{"a":{"b":"X","c":2},"b":3}"#),
            ("a", r#"{"a":{"b":[1,"y"]},"a":null}"#, r#"{"a":"X","a":"X"}"#),
            ("[*].n", r#"[{"n":1},{"m":2},[{"n":3}]]"#, r#"[{"n":"X"},{"m":2},[{"n":3}]]"#),
            ("**.n", r#"[{"n":1},{"m":{"n":2}}]"#, r#"[{"n":"X"},{"m":{"n":"X"}}]"#),
            ("**", r#"{"a":1}"#, r#""X""#),
            ("a", r#"{"\u0061":"x"}"#, r#"{"\u0061":"X"}"#),
            ("a", "[]", "[]"),
            ("a", " { } ", " { } "),
            ("a", r#""text""#, r#""text""#),
            ("a", "123456789012345678901234567890.10", "123456789012345678901234567890.10"),
            ("*", r#"{"a":true,"b":false,"c":null}"#, r#"{"a":"X","b":"X","c":"X"}"#),
        ] {
            let masker = masker(&[(path, constant("X"))]);
            assert_eq!(run(&masker, document).0.as_deref(), Ok(expected), "{path} {document}");
        }
    }

    #[test]
    fn the_first_rule_that_leads_to_a_value_wins() {
        let masker = masker(&[
            ("contact.keep", Mask::Keep),
            ("contact.gone", Mask::Null),
            ("contact", Mask::Partial(Default::default())),
            ("**.contact", constant("never")),
        ]);
        let document = r#"{"contact": {"keep": "Miller", "gone": [1, "x"], "other": ["Smith", 12, true, null]}}"#;
        let expected = r#"{"contact": {"keep": "Miller", "gone": null, "other": ["S***", "1***", true, null]}}"#;
        let (result, tally, _) = run(&masker, document);
        assert_eq!(result.as_deref(), Ok(expected));
        assert_eq!((tally.masked, tally.neutral, tally.unchanged), (3, 1, 0));
    }

    #[test]
    fn constants_are_json_where_they_are_json() {
        for (text, expected) in
            [("42", "[42]"), ("{}", "[{}]"), ("a\"b", r#"["a\"b"]"#), ("007", r#"["007"]"#)]
        {
            let masker = masker(&[("[*]", constant(text))]);
            assert_eq!(run(&masker, "[1]").0.as_deref(), Ok(expected));
        }
    }

    #[test]
    fn source_values_are_collected() {
        let masker = masker(&[("gone", Mask::Null), ("email", Mask::Hash(Default::default()))]);
        let document = r#"{"gone": {"a": ["first value", 1234567, true]}, "email": "ann@example.org", "kept": "not this"}"#;
        assert_eq!(run(&masker, document).2, 3);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let masker = masker(&[("a.b", constant("X")), ("c", Mask::Hash(Default::default()))]);
        for document in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}x",
            "[1,",
            "[1 2]",
            "{}{}",
            "tru",
            "{a:1}",
            "\"x",
            "{\"c\":\"\\u12\"}",
            "{\"c\":\"\\q\"}",
            "[,]",
            "{\"a\" 1}",
            "]",
        ] {
            assert_eq!(run(&masker, document).0, Err(Unfit::NotJson), "{document}");
        }
        let deep = "[".repeat(20_000) + &"]".repeat(20_000);
        assert_eq!(run(&masker, &deep).0, Err(Unfit::TooDeep));
        let noisy =
            super::tests::masker(&[("a", Mask::Noise(super::super::NoiseMask::percent(5.0)))]);
        assert_eq!(run(&noisy, r#"{"a":"x"}"#).0, Err(Unfit::NotANumber));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[ab]|.*", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Replaces the values at `**.a` in a tree.
    fn expected(json: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match json {
            Value::Array(list) => list.iter().map(expected).collect(),
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(key, value)| match &**key {
                        "a" => (key.clone(), "X".into()),
                        _ => (key.clone(), expected(value)),
                    })
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_parser_would_do(json in any_json(), is_pretty: bool) {
            let document = match is_pretty {
                true => serde_json::to_string_pretty(&json).unwrap(),
                false => json.to_string(),
            };
            let masked = run(&masker(&[("**.a", constant("X"))]), &document).0.unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&masked).unwrap();
            prop_assert_eq!(parsed, expected(&json));
            let kept = run(&masker(&[("no.such.key", constant("X"))]), &document).0.unwrap();
            if !document.contains("no") {
                prop_assert_eq!(kept, document);
            }
        }

        #[test]
        fn what_is_written_is_json(json in any_json()) {
            let masked = run(&masker(&[("**", Mask::Partial(Default::default()))]), &json.to_string()).0.unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{}", masked);
        }

        #[test]
        fn nothing_panics(document in ".*|[\\[\\]{}\",:\\\\a1 ]{0,20}") {
            let _ = run(&masker(&[("**.a", constant("X")), ("**", Mask::Hash(Default::default()))]), &document);
        }
    }
}
