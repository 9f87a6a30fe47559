//! The tables that are read by functions which run when a row is inserted.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Attribute, ObjectKey, ObjectKind, SchemaModel},
    name_of,
    order::{Mention, words},
};

/// Returns, for each table, the other tables that its generated columns and checks read through functions. The search
/// is by names in texts, so the result can contain too many.
pub(crate) fn tables_read(model: &SchemaModel) -> BTreeMap<String, BTreeSet<String>> {
    let reads = Reads::of(model);
    let tables = model.of_kind(ObjectKind::Table).map(|(key, _)| {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for text in run_by_rows(model, &key.name) {
            reads.follow(text, false, &mut seen, &mut found);
        }
        found.remove(&key.name);
        (key.name.clone(), found)
    });
    tables.filter(|(_, found)| !found.is_empty()).collect()
}

/// Returns the expressions that are evaluated for each row.
fn run_by_rows<'a>(model: &'a SchemaModel, table: &str) -> Vec<&'a str> {
    let mut texts = Vec::new();
    for (_, column) in model.columns(table) {
        texts.extend(column.text(Attribute::GeneratedStored));
        let of_type = column.text(Attribute::Type).unwrap_or_default();
        let domain = name_of(of_type.trim_end_matches("[]"));
        if model.get(&ObjectKey::new(ObjectKind::Domain, &*domain)).is_some() {
            let checks = model.parts_of(ObjectKind::Constraint, &domain);
            texts.extend(checks.filter_map(|(_, check)| check.text(Attribute::Definition)));
        }
    }
    let constraints = model.parts_of(ObjectKind::Constraint, table);
    let checks = constraints.filter_map(|(_, object)| object.text(Attribute::Definition));
    texts.extend(checks.filter(|definition| definition.starts_with("CHECK ")));
    texts
}

struct Reads<'a> {
    /// The bodies of functions.
    bodies: BTreeMap<&'a str, Vec<&'a str>>,
    /// The queries of views.
    views: BTreeMap<&'a str, &'a str>,
    tables: BTreeSet<&'a str>,
}

impl<'a> Reads<'a> {
    fn of(model: &'a SchemaModel) -> Self {
        let mut bodies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, function) in model.of_kind(ObjectKind::Function) {
            bodies.entry(&key.name).or_default().extend(function.text(Attribute::Body));
        }
        let views = model
            .of_kind(ObjectKind::View)
            .filter_map(|(key, view)| Some((&*key.name, view.text(Attribute::Definition)?)));
        let tables = model.of_kind(ObjectKind::Table).map(|(key, _)| &*key.name);
        Self { bodies, views: views.collect(), tables: tables.collect() }
    }

    /// Adds the tables that a text reads directly, or through functions that it calls.
    fn follow(
        &self,
        text: &'a str,
        is_query: bool,
        seen: &mut BTreeSet<&'a str>,
        found: &mut BTreeSet<String>,
    ) {
        for (mention, word) in words(text) {
            let more: Vec<&'a str> = match mention {
                Mention::Call => match self.bodies.get_key_value(&*word) {
                    Some((name, bodies)) if seen.insert(name) => bodies.clone(),
                    _ => continue,
                },
                Mention::Name if is_query => match self.views.get_key_value(&*word) {
                    Some((name, query)) if seen.insert(name) => vec![query],
                    _ if self.tables.contains(&*word) => {
                        found.insert(word);
                        continue;
                    }
                    _ => continue,
                },
                _ => continue,
            };
            for text in more {
                self.follow(text, true, seen, found);
            }
        }
    }
}
