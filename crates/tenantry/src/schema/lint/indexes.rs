//! Rules about missing and superfluous indexes.

use std::collections::BTreeMap;

use super::{
    super::BeyondKind, Attribute, Findings, LintRule, Object, ObjectKey, ObjectKind, ident,
    index::Index, key, keys::foreign_keys, list, own,
};

pub(super) fn check(findings: &mut Findings<'_>) {
    let indexes = indexes(findings);
    foreign_key_columns(findings, &indexes);
    for indexes in indexes.values() {
        too_many(findings, indexes);
    }
    invalid(findings);
}

/// An index of a table, or of a constraint.
#[derive(Debug)]
struct Known<'a> {
    table: &'a str,
    object: ObjectKey,
    /// Its elements. For a constraint, its columns as written.
    elements: Vec<String>,
    columns: Vec<String>,
    method: &'a str,
    include: Option<&'a str>,
    predicate: Option<&'a str>,
    nulls_not_distinct: bool,
    is_unique: bool,
    is_constraint: bool,
}

fn indexes<'a>(findings: &Findings<'a>) -> BTreeMap<&'a str, Vec<Known<'a>>> {
    let model = findings.model;
    let constraints = model.of_kind(ObjectKind::Constraint).filter_map(constraint);
    let indexes = model.of_kind(ObjectKind::Index).filter_map(index);
    let all = constraints.chain(indexes).filter(|known| !findings.is_ignored(known.table));
    let mut indexes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for known in all {
        indexes.entry(known.table).or_default().push(known);
    }
    indexes
}

fn index<'a>((key, object): (&'a ObjectKey, &'a Object)) -> Option<Known<'a>> {
    // An index of a partition follows from that of the partitioned table.
    if object.get(Attribute::AttachedTo).is_some() {
        return None;
    }
    let index = Index::parse(object.text(Attribute::Definition)?)?;
    Some(Known {
        table: object.text(Attribute::Table)?,
        object: key.clone(),
        elements: index.elements.iter().map(|element| (*element).to_owned()).collect(),
        columns: index.leading_columns(),
        method: index.method,
        include: index.include,
        predicate: index.predicate,
        nulls_not_distinct: index.nulls_not_distinct,
        is_unique: object.has(Attribute::Unique),
        is_constraint: false,
    })
}

/// Returns the index of a primary key or unique constraint.
fn constraint<'a>((key, object): (&'a ObjectKey, &'a Object)) -> Option<Known<'a>> {
    let definition = object.text(Attribute::Definition)?;
    let rest = definition.strip_prefix("PRIMARY KEY ");
    let rest = rest.or_else(|| definition.strip_prefix("UNIQUE "))?;
    let distinct = rest.strip_prefix("NULLS NOT DISTINCT ");
    // Its list of columns has the syntax of an index.
    let index = Index::parse_elements("btree", distinct.unwrap_or(rest))?;
    Some(Known {
        table: key.of.as_deref()?,
        object: key.clone(),
        elements: index.elements.iter().map(|element| (*element).to_owned()).collect(),
        columns: index.leading_columns(),
        method: index.method,
        include: index.include,
        predicate: None,
        nulls_not_distinct: distinct.is_some(),
        is_unique: true,
        is_constraint: true,
    })
}

fn foreign_key_columns(findings: &mut Findings<'_>, indexes: &BTreeMap<&str, Vec<Known<'_>>>) {
    for foreign in foreign_keys(findings.model) {
        let count = foreign.columns.len();
        let leads = |known: &&Known<'_>| {
            let leading = known.columns.get(..count);
            known.predicate.is_none()
                && matches!(known.method, "btree" | "hash")
                && leading.is_some_and(|leading| {
                    foreign.columns.iter().all(|column| leading.contains(column))
                })
        };
        let indexes = indexes.get(&*foreign.table).map_or(&[][..], Vec::as_slice);
        if indexes.iter().any(|known| leads(&known)) || findings.is_ignored(&foreign.table) {
            continue;
        }
        let table = findings.model.get(&ObjectKey::new(ObjectKind::Table, &*foreign.table));
        // A partition's index belongs on the partitioned table, where it cannot be built concurrently.
        let is_partitioned =
            table.is_some_and(|table| table.get(Attribute::PartitionKey).is_some());
        let concurrently = if is_partitioned { "" } else { "concurrently " };
        let columns = list(&foreign.columns);
        let message = format!(
            "no index starts with {columns}: each delete or key update in {} reads the whole table",
            ident(&foreign.to)
        );
        let fix = format!("create index {concurrently}on {} ({columns});", own(&foreign.table));
        let constraint = key(ObjectKind::Constraint, &foreign.table, &foreign.name);
        findings.add(LintRule::ForeignKeyIndex, &constraint, message, Some(fix));
    }
}

/// Finds superfluous indexes of a table.
fn too_many(findings: &mut Findings<'_>, indexes: &[Known<'_>]) {
    for (at, known) in indexes.iter().enumerate() {
        if known.is_constraint {
            continue;
        }
        let others: Vec<_> = indexes.iter().enumerate().filter(|(other, _)| *other != at).collect();
        let same = others.iter().find(|(other_at, other)| {
            // Of two equal ones, the later one is superfluous.
            known.is_same(other)
                && (known.yields_to(other) || *other_at < at && !other.yields_to(known))
        });
        let fix = || Some(format!("drop index concurrently {};", own(&known.object.name)));
        if let Some((_, other)) = same {
            let message = format!("{} is the same", other.object);
            findings.add(LintRule::DuplicateIndex, &known.object, message, fix());
            continue;
        }
        if let Some((_, other)) = others.iter().find(|(_, other)| known.begins(other)) {
            let message = format!("{} starts with the same columns", other.object);
            findings.add(LintRule::RedundantIndex, &known.object, message, fix());
        }
    }
}

impl Known<'_> {
    /// Returns `true` if both serve the same queries, and the other one is unique if this one is.
    fn is_same(&self, other: &Self) -> bool {
        self.method == other.method
            && self.elements == other.elements
            && self.include == other.include
            && self.predicate == other.predicate
            && (!self.is_unique
                || other.is_unique && self.nulls_not_distinct == other.nulls_not_distinct)
    }

    /// Returns `true` if the other one does more and so has to stay.
    fn yields_to(&self, other: &Self) -> bool {
        (other.is_constraint, other.is_unique) > (self.is_constraint, self.is_unique)
    }

    /// Returns `true` if the index consists of the leading part of the other one.
    fn begins(&self, other: &Self) -> bool {
        self.method == "btree"
            && other.method == "btree"
            && !self.is_unique
            && self.include.is_none()
            && self.predicate == other.predicate
            && self.elements.len() < other.elements.len()
            && other.elements.starts_with(&self.elements)
    }
}

fn invalid(findings: &mut Findings<'_>) {
    for beyond in &findings.model.beyond {
        if beyond.what == BeyondKind::InvalidIndex {
            let message =
                "the index is invalid: writes maintain it, and no query uses it".to_owned();
            let fix = Some(format!("reindex index concurrently {};", own(&beyond.object.name)));
            findings.add(LintRule::InvalidIndex, &beyond.object, message, fix);
        }
    }
}
