//! Rules about tables and keys.

use super::{
    Attribute, Findings, LintRule, Object, ObjectKind, alter, ident, key, keys::foreign_keys,
};

pub(super) fn check(findings: &mut Findings<'_>) {
    naming(findings);
    primary_keys(findings);
    expected_columns(findings);
    cascades(findings);
    unlogged(findings);
}

fn naming(findings: &mut Findings<'_>) {
    let style = findings.options.table_naming;
    let is_relation = |kind| {
        matches!(
            kind,
            ObjectKind::Table
                | ObjectKind::ForeignTable
                | ObjectKind::View
                | ObjectKind::MaterializedView
        )
    };
    for (relation, _) in findings.model.objects.iter().filter(|(key, _)| is_relation(key.kind)) {
        if !style.fits(&relation.name) && !findings.is_ignored(&relation.name) {
            let message = format!("the name is not {}", style.as_str());
            findings.add(LintRule::TableNaming, relation, message, None);
        }
    }
    let style = findings.options.column_naming;
    for (table, _) in findings.tables() {
        for (column, _) in findings.model.columns(&table.name) {
            if !style.fits(&column.name) {
                let message = format!("the name is not {}", style.as_str());
                findings.add(LintRule::ColumnNaming, column, message, None);
            }
        }
    }
}

fn primary_keys(findings: &mut Findings<'_>) {
    let foreign_keys = foreign_keys(findings.model);
    for (table, _) in findings.tables() {
        let Some(primary) = findings.primary_key(&table.name) else {
            let message = "there is no primary key: rows cannot be identified, and logical replication cannot \
                           update them"
                .to_owned();
            findings.add(LintRule::RequirePrimaryKey, table, message, None);
            continue;
        };
        let [name] = &*primary.columns else { continue };
        let column = key(ObjectKind::Column, &table.name, name);
        let Some(object) = findings.model.get(&column) else { continue };
        let data_type = object.text(Attribute::Type).unwrap_or_default();
        if data_type != "uuid" && object.get(Attribute::Identity).is_none() {
            let message = format!("the primary key is {data_type}; use uuid or an identity column");
            findings.add(LintRule::PrimaryKeyType, &column, message, None);
        }
        let refers = || {
            foreign_keys
                .iter()
                .any(|foreign| foreign.table == table.name && foreign.columns == primary.columns)
        };
        if matches!(data_type, "integer" | "smallint") && !refers() {
            let message =
                format!("a primary key that is {data_type} runs out of values; use bigint");
            let fix = alter(&table.name, &format!("alter column {} type bigint", ident(name)));
            findings.add(LintRule::SmallPrimaryKey, &column, message, fix);
        }
    }
}

fn expected_columns(findings: &mut Findings<'_>) {
    let options = findings.options;
    for (table, _) in findings.tables() {
        let columns = findings.model.columns(&table.name);
        let is_there = |name: &String| columns.iter().any(|(key, _)| key.name == *name);
        let add = |name: &str, rest: &str| {
            alter(&table.name, &format!("add column {} timestamptz{rest}", ident(name)))
        };
        for name in options.timestamps.iter().filter(|name| !is_there(name)) {
            let message = format!("there is no column {}", ident(name));
            let fix = add(name, " not null default now()");
            findings.add(LintRule::RequireTimestamps, table, message, fix);
        }
        if !is_there(&options.soft_delete) {
            let message = format!("there is no column {}", ident(&options.soft_delete));
            let fix = add(&options.soft_delete, "");
            findings.add(LintRule::RequireSoftDelete, table, message, fix);
        }
    }
}

fn cascades(findings: &mut Findings<'_>) {
    for foreign in foreign_keys(findings.model) {
        let constraint = key(ObjectKind::Constraint, &foreign.table, &foreign.name);
        let is_meant = |object: &Object| object.get(Attribute::Comment).is_some();
        let is_meant = findings.model.get(&constraint).is_some_and(is_meant);
        if foreign.on_delete != Some("cascade") || is_meant || findings.is_ignored(&foreign.table) {
            continue;
        }
        let message = format!(
            "deleting a row of {} deletes rows of {}; if this is intended, say so in a comment on the constraint",
            ident(&foreign.to),
            ident(&foreign.table)
        );
        findings.add(LintRule::CascadeDelete, &constraint, message, None);
    }
}

fn unlogged(findings: &mut Findings<'_>) {
    for (table, object) in findings.model.of_kind(ObjectKind::Table) {
        if object.has(Attribute::Unlogged) && !findings.is_ignored(&table.name) {
            let message = "it is unlogged: empty after a crash, and on replicas".to_owned();
            let fix = alter(&table.name, "set logged");
            findings.add(LintRule::UnloggedTable, table, message, fix);
        }
    }
}
