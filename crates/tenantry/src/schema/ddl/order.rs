//! The order in which objects can be created: each after the objects that its definition names.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel, Value},
    comes_with_its_owner,
    parts::{is_key, is_of_domain},
    script,
    script::Phase,
    types::needs_shell,
};

/// Returns the statements that create everything, in an order that works.
pub(super) fn statements(model: &SchemaModel) -> Vec<(Phase, String)> {
    let mut statements: Vec<(Phase, String)> = Vec::new();
    let order = Order::new(model);
    for place in order.places() {
        let phases = script(model, order.keys[place]).into_phases();
        // A query that groups by a key, or depends on it, needs it to exist.
        let is_early = order.needed.contains(&place);
        statements.extend(phases.into_iter().map(|(phase, text)| match phase {
            Phase::Key if is_early => (Phase::Create, text),
            phase => (phase, text),
        }));
    }
    statements.sort_by_key(|(phase, _)| *phase);
    statements
}

/// Objects with their dependencies.
pub(in crate::schema) struct Order<'a> {
    pub(in crate::schema) keys: Vec<&'a ObjectKey>,
    /// By index in `keys`.
    pub(in crate::schema) needs: Vec<BTreeSet<usize>>,
    /// Functions called in the bodies of functions, and names in constants: needed as soon as a function runs, which
    /// creating a table can cause.
    calls: Vec<BTreeSet<usize>>,
    /// Objects that any other object needs.
    pub(in crate::schema) needed: BTreeSet<usize>,
}

/// How a text names an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::schema) enum Mention {
    /// A name in a text.
    Name,
    /// A name before a parenthesis.
    Call,
    /// A name that is an operator.
    Operator,
}

pub(in crate::schema) fn mention(kind: ObjectKind) -> Option<Mention> {
    Some(match kind {
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Aggregate => Mention::Call,
        ObjectKind::Operator => Mention::Operator,
        ObjectKind::Collation
        | ObjectKind::Enum
        | ObjectKind::Composite
        | ObjectKind::Domain
        | ObjectKind::Range
        | ObjectKind::BaseType
        | ObjectKind::OperatorFamily
        | ObjectKind::OperatorClass
        | ObjectKind::TextSearchParser
        | ObjectKind::TextSearchTemplate
        | ObjectKind::TextSearchDictionary
        | ObjectKind::TextSearchConfiguration
        | ObjectKind::Sequence
        | ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView => Mention::Name,
        _ => return None,
    })
}

impl<'a> Order<'a> {
    pub(in crate::schema) fn new(model: &'a SchemaModel) -> Self {
        let keys: Vec<&ObjectKey> =
            model.objects.keys().filter(|key| !comes_with_its_owner(model, key)).collect();
        let mut called: BTreeMap<(Mention, &str), Vec<usize>> = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            if let Some(mention) = mention(key.kind) {
                called.entry((mention, &key.name)).or_default().push(place);
            }
        }
        let named = |words: Vec<(Mention, String)>| -> BTreeSet<usize> {
            let places = words.iter().filter_map(|(how, word)| called.get(&(*how, &**word)));
            places.flatten().copied().collect()
        };
        let needs = keys.iter().enumerate().map(|(place, key)| {
            let texts = texts(model, key);
            let mut needs = named(texts.iter().flat_map(|text| names(text)).collect());
            needs.remove(&place);
            // A shell already exists.
            if matches!(key.kind, ObjectKind::Function) {
                needs.retain(|other| !model.get(keys[*other]).is_some_and(needs_shell));
            }
            needs
        });
        let mut needs: Vec<BTreeSet<usize>> = needs.collect();
        let calls = keys.iter().map(|key| {
            let body = model.get(key).and_then(|object| object.text(Attribute::Body));
            let in_body = body.into_iter().flat_map(words);
            let mut calls = named(in_body.filter(|(how, _)| *how == Mention::Call).collect());
            calls.extend(named(texts(model, key).iter().flat_map(|text| words(text)).collect()));
            calls
        });
        let calls = calls.collect();
        add_constraints(model, &keys, &mut needs);
        let needed = needs.iter().flatten().copied().collect();
        Self { keys, needs, calls, needed }
    }

    /// Returns the names in all texts of an object that are read when it is created.
    pub(in crate::schema) fn words(
        model: &SchemaModel,
        key: &ObjectKey,
    ) -> BTreeSet<(Mention, String)> {
        texts(model, key).iter().flat_map(|text| names(text)).collect()
    }

    /// Returns the indexes of the keys, each after its dependencies; cycles are in the order of the model. A function
    /// that is called comes before the caller, unless it needs what the caller is created for.
    pub(in crate::schema) fn places(&self) -> Vec<usize> {
        let mut ordered = Vec::with_capacity(self.keys.len());
        let mut states = vec![State::Unseen; self.keys.len()];
        for start in 0..self.keys.len() {
            // Each is emitted after everything that it needs.
            let mut open = vec![(start, false)];
            while let Some((place, is_done)) = open.pop() {
                if is_done {
                    states[place] = State::Ordered;
                    ordered.push(place);
                } else if states[place] == State::Unseen {
                    states[place] = State::Open;
                    open.push((place, true));
                    open.extend(self.needs[place].iter().rev().map(|need| (*need, false)));
                    let calls = self.calls[place].iter().rev();
                    let can_come = calls.filter(|called| self.can_come(**called, &states));
                    open.extend(can_come.map(|called| (*called, false)));
                }
            }
        }
        ordered
    }

    /// Returns `true` if no direct or indirect dependency of an object waits for something else.
    fn can_come(&self, place: usize, states: &[State]) -> bool {
        let (mut open, mut seen) = (vec![place], BTreeSet::new());
        while let Some(place) = open.pop() {
            match states[place] {
                State::Open => return false,
                State::Ordered => {}
                State::Unseen if seen.insert(place) => open.extend(&self.needs[place]),
                State::Unseen => {}
            }
        }
        true
    }
}

/// The progress of an object in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    /// Others come before it.
    Open,
    Ordered,
}

/// Adds the constraints without which their object cannot be used: those of domains, and keys used in queries.
fn add_constraints(model: &SchemaModel, keys: &[&ObjectKey], needs: &mut [BTreeSet<usize>]) {
    let Grouped { constraints, partitions } = Grouped::new(model, keys);
    for (place, key) in keys.iter().enumerate() {
        let query = query_of(model, key);
        let is_query = query.is_some();
        let uses_keys =
            query.is_some_and(|query| query.contains("GROUP BY") || query.contains("ON CONFLICT"));
        let is_table = matches!(
            key.kind,
            ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::Composite
        );
        // A domain in an array, or in a type that another type is based on, counts, too.
        let of = with_types(&needs[place], keys, needs).into_iter();
        let of = of.filter(|need| match keys[*need].kind {
            ObjectKind::Domain => is_table || is_query,
            ObjectKind::Table => uses_keys,
            _ => false,
        });
        let more = of.flat_map(|need| constraints.get(&*keys[need].name)).flatten();
        let more: Vec<usize> = more.copied().collect();
        needs[place].extend(more);
        // A key of a partitioned table comes after its partitions, which would otherwise inherit keys from it.
        if key.kind == ObjectKind::Constraint && model.get(key).is_some_and(is_key) {
            let parent = super::ident(key.of.as_deref().unwrap_or_default());
            needs[place].extend(partitions.get(&parent).into_iter().flatten());
        }
    }
}

/// The indexes of objects that belong to others.
#[derive(Default)]
struct Grouped<'a> {
    /// Keys, and constraints of domains, by the name of their table or domain.
    constraints: BTreeMap<&'a str, Vec<usize>>,
    /// Partitions, by the printed name of their parent.
    partitions: BTreeMap<String, Vec<usize>>,
}

impl<'a> Grouped<'a> {
    fn new(model: &SchemaModel, keys: &[&'a ObjectKey]) -> Self {
        let mut grouped = Self::default();
        for (place, key) in keys.iter().enumerate() {
            let Some(object) = model.get(key) else { continue };
            if key.kind == ObjectKind::Table {
                let parent = object.text(Attribute::PartitionOf).unwrap_or_default();
                grouped.partitions.entry(parent.to_owned()).or_default().push(place);
            } else if key.kind == ObjectKind::Constraint
                && (is_key(object) || is_of_domain(model, key))
            {
                let of = key.of.as_deref().unwrap_or_default();
                grouped.constraints.entry(of).or_default().push(place);
            }
        }
        grouped
    }
}

/// Returns the query that an object stores in parsed form.
fn query_of<'a>(model: &'a SchemaModel, key: &ObjectKey) -> Option<&'a str> {
    let object = model.get(key)?;
    match key.kind {
        ObjectKind::View | ObjectKind::MaterializedView => object.text(Attribute::Definition),
        ObjectKind::Function | ObjectKind::Procedure if object.has(Attribute::SqlBody) => {
            object.text(Attribute::Body)
        }
        _ => None,
    }
}

/// Returns the dependencies of an object, and the types that these are composed of.
fn with_types(
    direct: &BTreeSet<usize>,
    keys: &[&ObjectKey],
    needs: &[BTreeSet<usize>],
) -> BTreeSet<usize> {
    let is_type = |place: &&usize| {
        matches!(keys[**place].kind, ObjectKind::Domain | ObjectKind::Composite | ObjectKind::Range)
    };
    let mut found = direct.clone();
    let mut open: Vec<usize> = direct.iter().filter(is_type).copied().collect();
    while let Some(place) = open.pop() {
        for need in needs[place].iter().filter(is_type) {
            if found.insert(*need) {
                open.push(*need);
            }
        }
    }
    found
}

/// Returns all texts in which an object can name others when it is created.
fn texts(model: &SchemaModel, key: &ObjectKey) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(model.get(key).into_iter().flat_map(said));
    let kinds = [ObjectKind::Column, ObjectKind::Constraint];
    let kinds = kinds.into_iter().filter(|_| mention(key.kind).is_some());
    for (part, object) in kinds.flat_map(|kind| model.parts_of(kind, &key.name)) {
        if comes_with_its_owner(model, part) {
            found.extend(said(object));
        }
    }
    found.extend(key.of.iter().map(|of| super::ident(of)));
    found.extend(key.arguments.clone());
    found
}

/// Returns the texts of the attributes that are read when an object is created.
fn said(object: &Object) -> impl Iterator<Item = String> {
    let is_said = |attribute: Attribute| match attribute {
        Attribute::Body => object.has(Attribute::SqlBody),
        Attribute::ColumnOrder
        | Attribute::Comment
        | Attribute::IndexComment
        | Attribute::NotNullComment
        | Attribute::Labels
        | Attribute::Owner
        | Attribute::Grants
        | Attribute::OwnedBy
        | Attribute::Negator
        | Attribute::Commutator
        | Attribute::Settings => false,
        _ => true,
    };
    let values = object.attributes().filter(move |(attribute, _)| is_said(**attribute));
    values.flat_map(|(_, value)| match value {
        Value::Text(text) => vec![text.clone()],
        Value::List(list) => list.clone(),
        Value::Flag(_) => Vec::new(),
    })
}

/// Returns the names by which an expression refers to objects, as [`words`] does. A constant refers to one only if it
/// is of a type such as `regclass`.
pub(in crate::schema) fn names(text: &str) -> Vec<(Mention, String)> {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, from) = rest.split_at(at);
        let end = quoted_end(from, &from[..1]);
        let (quoted, after) = from.split_at(end);
        kept.push_str(before);
        let is_of_object = ["::reg", "::pg_catalog.reg"].iter().any(|of| after.starts_with(of));
        if quoted.starts_with('"') || is_of_object {
            kept.push_str(quoted);
        }
        rest = after;
    }
    kept.push_str(rest);
    words(&kept)
}

/// Returns the words of a text that can be names, without quotes, each with the way in which it is mentioned.
pub(in crate::schema) fn words(text: &str) -> Vec<(Mention, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let end = quoted_end(rest, "\"");
                let name = rest[1..end].strip_suffix('"').unwrap_or(&rest[1..end]);
                let name = name.replace("\"\"", "\"");
                push(name, &rest[end..], &mut found);
                end
            }
            c if c.is_alphanumeric() || c == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                push(rest[..end].to_owned(), &rest[end..], &mut found);
                end
            }
            c if is_of_operator(c) => {
                let end = rest.find(|c| !is_of_operator(c)).unwrap_or(rest.len());
                found.push((Mention::Operator, rest[..end].to_owned()));
                end
            }
            other => other.len_utf8(),
        };
        rest = &rest[length..];
    }
    found
}

fn push(name: String, after: &str, found: &mut Vec<(Mention, String)>) {
    if after.starts_with('(') {
        found.push((Mention::Call, name.clone()));
    }
    found.push((Mention::Name, name));
}

/// Returns where a text in quotes ends, in which a doubled quote stands for one.
fn quoted_end(text: &str, quote: &str) -> usize {
    let mut end = quote.len();
    while let Some(at) = text[end..].find(quote) {
        end += at + quote.len();
        if !text[end..].starts_with(quote) {
            return end;
        }
        end += quote.len();
    }
    text.len()
}

fn is_of_operator(character: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_names_nothing_unless_its_type_says_so() {
        let of = |text| names(text).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(of("'totals'::text"), ["text"]);
        assert_eq!(of("nextval('seq'::regclass)"), ["nextval", "nextval", "seq", "regclass"]);
        assert_eq!(
            of("'it''s a'::pg_catalog.regclass"),
            ["it", "s", "a", "pg_catalog", "regclass"]
        );
        assert_eq!(of(r#""it's" || 'b'"#), ["it's", "||"]);
        assert_eq!(of("'never closed"), [""; 0]);
        assert_eq!(of("\"caf\u{e9}"), ["caf\u{e9}"]);
    }
}
