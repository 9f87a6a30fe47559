//! Tests of rules that look at more than one object.

use std::collections::BTreeMap;

use super::{super::Value, *};

/// A model of the tables `t (id, a, b)` and `u (id)` plus additional objects.
fn model(added: &[(ObjectKey, &[(Attribute, &str)])]) -> SchemaModel {
    let table = |name: &str| ObjectKey::new(ObjectKind::Table, name);
    let column = |of: &str, name: &str| key(ObjectKind::Column, of, name);
    let primary = |of: &str| key(ObjectKind::Constraint, of, "pk");
    let id: &[_] = &[(Attribute::Type, "bigint"), (Attribute::Identity, "always")];
    let pk: &[_] = &[(Attribute::Definition, "PRIMARY KEY (id)")];
    let base: [(ObjectKey, &[(Attribute, &str)]); 8] = [
        (table("t"), &[(Attribute::ColumnOrder, "id a b")]),
        (column("t", "id"), id),
        (column("t", "a"), &[(Attribute::Type, "bigint")]),
        (column("t", "b"), &[(Attribute::Type, "text")]),
        (primary("t"), pk),
        (table("u"), &[(Attribute::ColumnOrder, "id")]),
        (column("u", "id"), id),
        (primary("u"), pk),
    ];
    let mut objects: BTreeMap<ObjectKey, Object> = BTreeMap::new();
    for (key, attributes) in base.iter().chain(added) {
        let object = objects.entry(key.clone()).or_default();
        for (attribute, text) in *attributes {
            let value = match attribute {
                Attribute::ColumnOrder | Attribute::Settings => {
                    Value::List(text.split(' ').map(str::to_owned).collect())
                }
                _ if *text == "yes" => Value::Flag(true),
                _ => Value::Text((*text).to_owned()),
            };
            object.set(*attribute, value);
        }
    }
    SchemaModel {
        schema: "acme".to_owned(),
        role: None,
        server_version: 17,
        objects,
        beyond: Vec::new(),
    }
}

fn index(name: &str, definition: &'static str) -> (ObjectKey, Vec<(Attribute, &'static str)>) {
    let attributes = vec![(Attribute::Table, "t"), (Attribute::Definition, definition)];
    (ObjectKey::new(ObjectKind::Index, name), attributes)
}

fn rules(model: &SchemaModel) -> Vec<String> {
    let found = model.lint(&LintOptions::default()).into_iter();
    found.map(|finding| format!("{} {}", finding.rule, finding.object)).collect()
}

#[test]
fn an_index_leads_with_the_columns_of_a_foreign_key() {
    for (columns, definition, is_covered) in [
        ("a", "USING btree (a)", true),
        ("a", "USING btree (a, b)", true),
        ("a", "USING hash (a)", true),
        ("a", "USING btree (b, a)", false),
        ("a", "USING btree (a) WHERE (b IS NULL)", false),
        ("a", "USING btree (((a + 1)))", false),
        ("a", "USING btree (b) INCLUDE (a)", false),
        ("a", "USING gin (a)", false),
        ("a, b", "USING btree (b DESC, a)", true),
        ("a, b", "USING btree (a)", false),
        ("id", "USING btree (b)", true),
    ] {
        let foreign = format!("FOREIGN KEY ({columns}) REFERENCES u(id)");
        let (index, attributes) = index("i", definition);
        let model = model(&[
            (key(ObjectKind::Constraint, "t", "fk"), &[(Attribute::Definition, &foreign)]),
            (index, &attributes),
        ]);
        let expected: &[_] =
            if is_covered { &[] } else { &["foreign-key-index constraint fk on t"] };
        assert_eq!(rules(&model), expected, "({columns}) by {definition}");
    }
}

#[test]
fn one_of_two_equal_indexes_is_too_many() {
    for (one, other, expected) in [
        ("USING btree (a)", "USING btree (a)", &["duplicate-index index j"][..]),
        ("USING btree (a)", "USING btree (a) WITH (fillfactor='70')", &["duplicate-index index j"]),
        ("USING btree (id)", "USING btree (b)", &["duplicate-index index i"]),
        ("USING btree (a)", "USING btree (a DESC)", &[]),
        ("USING btree (a)", "USING hash (a)", &[]),
        ("USING btree (a)", "USING btree (a) WHERE (b IS NULL)", &[]),
        ("USING btree (a, b)", "USING btree (a)", &["redundant-index index j"]),
        ("USING btree (a)", "USING btree (a, b)", &["redundant-index index i"]),
        ("USING btree (b)", "USING btree (a, b)", &[]),
        ("USING btree (a) INCLUDE (id)", "USING btree (a, b)", &[]),
    ] {
        let ((i, one_is), (j, other_is)) = (index("i", one), index("j", other));
        let model = model(&[(i, &one_is), (j, &other_is)]);
        assert_eq!(rules(&model), expected, "{one}, {other}");
    }
}

#[test]
fn a_unique_index_stays() {
    let ((i, plain), (j, mut unique)) =
        (index("i", "USING btree (a)"), index("j", "USING btree (a)"));
    unique.push((Attribute::Unique, "yes"));
    let one = model(&[(i.clone(), &plain), (j.clone(), &unique)]);
    assert_eq!(rules(&one), ["duplicate-index index i"]);
    let other = model(&[(j, &plain), (i, &unique)]);
    assert_eq!(rules(&other), ["duplicate-index index j"]);
}

#[test]
fn tables_have_what_they_need() {
    use ObjectKind as K;
    let part = |kind, name| key(kind, "t", name);
    for (object, attributes, expected) in [
        (
            ObjectKey::new(K::Table, "Odd"),
            &[(Attribute::ColumnOrder, "")][..],
            &["require-primary-key table Odd", "table-naming table Odd"][..],
        ),
        (ObjectKey::new(K::Table, "part"), &[(Attribute::PartitionOf, "t")], &[]),
        (ObjectKey::new(K::Table, "_sqlx_migrations"), &[], &[]),
        (
            ObjectKey::new(K::Table, "t"),
            &[(Attribute::Unlogged, "yes")],
            &["unlogged-table table t"],
        ),
        (
            ObjectKey::new(K::Table, "t"),
            &[(Attribute::RowSecurity, "yes")],
            &["row-security-without-policy table t"],
        ),
        (part(K::Policy, "p"), &[], &["policy-without-row-security table t"]),
        (
            part(K::Column, "id"),
            &[(Attribute::Type, "integer")],
            &["small-primary-key column t.id"],
        ),
        (
            part(K::Constraint, "c"),
            &[(Attribute::Definition, "CHECK ((a > 0)) NOT VALID")],
            &["constraint-not-valid constraint c on t"],
        ),
        (
            part(K::Trigger, "g"),
            &[(Attribute::Enabled, "disabled")],
            &["disabled-trigger trigger g on t"],
        ),
        (part(K::Trigger, "g"), &[(Attribute::Enabled, "always")], &[]),
        (
            ObjectKey::new(K::Function, "f"),
            &[(Attribute::SecurityDefiner, "yes")],
            &["security-definer-search-path function f"],
        ),
        (
            ObjectKey::new(K::Function, "f"),
            &[(Attribute::SecurityDefiner, "yes"), (Attribute::Settings, "search_path={schema}")],
            &[],
        ),
    ] {
        assert_eq!(rules(&model(&[(object.clone(), attributes)])), expected, "{object}");
    }
}

#[test]
fn a_fix_names_the_schema() {
    let foreign = "FOREIGN KEY (a) REFERENCES u(id) ON DELETE CASCADE";
    let mut model =
        model(&[(key(ObjectKind::Constraint, "t", "fk"), &[(Attribute::Definition, foreign)])]);
    "Ac me".clone_into(&mut model.schema);
    let options = LintOptions::default()
        .severity(LintRule::CascadeDelete, Severity::Error)
        .severity(LintRule::RequireTimestamps, Severity::Info)
        .ignore_table("u");
    let found = model.lint(&options);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "error: constraint fk on t: deleting a row of u deletes rows of t; if this is intended, say so in a \
             comment on the constraint (cascade-delete)",
            "warning: constraint fk on t: no index starts with a: each delete or key update in u reads the \
             whole table (foreign-key-index)",
            "info: table t: there is no column created_at (require-timestamps)",
            "info: table t: there is no column updated_at (require-timestamps)",
        ]
    );
    let fixes: Vec<_> = found.iter().filter_map(|finding| finding.fix.as_deref()).collect();
    assert_eq!(fixes[0], "create index concurrently on \"Ac me\".t (a);");
    assert_eq!(
        fixes[1],
        "alter table \"Ac me\".t add column created_at timestamptz not null default now();"
    );
    assert_eq!(model.lint(&options.ignore_table("t")), []);
}

#[test]
fn ids_are_in_kebab_case() {
    for rule in LintRule::ALL {
        let id = rule.id();
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{id}");
        assert_eq!(serde_json::to_value(rule).expect("an id"), id);
    }
}
