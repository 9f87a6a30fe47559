//! Routines, domains and types that are kept.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{Phase, Script, escape, ident, literal, own, script},
    },
    pair::Pair,
    privileges::comment,
};

/// Adds the changes of an object that both have, except for those of attributes that all kinds have.
pub(super) fn alter(pair: &Pair<'_, '_>, out: &mut Script) {
    match pair.key.kind {
        ObjectKind::Function | ObjectKind::Procedure => routine(pair, out),
        ObjectKind::Domain => domain(pair, out),
        _ => {}
    }
}

fn routine(pair: &Pair<'_, '_>, out: &mut Script) {
    let in_common =
        [Attribute::Owner, Attribute::Grants, Attribute::Comment, Attribute::DependsOnExtensions];
    let mut changes = pair.plan.changes(pair.key).iter();
    if changes.all(|attribute| in_common.contains(attribute)) {
        return;
    }
    // Its owner, privileges and comment are kept.
    let statements = script(pair.plan.expected, pair.key).into_phases();
    if let Some((phase, create)) = statements.into_iter().next() {
        out.add(phase, create.replacen("create ", "create or replace ", 1));
    }
}

fn domain(pair: &Pair<'_, '_>, out: &mut Script) {
    let (name, new) = (own(&pair.key.name), pair.new);
    let alter = |what: &str| format!("alter domain {name} {what}");
    let is_redefaulted = pair.plan.redefaulted.contains(&(&*pair.key.name, ""));
    if pair.differs_in(Attribute::Default) || is_redefaulted {
        match new.text(Attribute::Default) {
            Some(default) => out.add(Phase::Create, alter(&format!("set default {default}"))),
            None if is_redefaulted => {}
            None => out.add(Phase::Create, alter("drop default")),
        }
    }
    let has_new_not_null = pair.differs_in_any(&[Attribute::NotNull, Attribute::NotNullName]);
    if has_new_not_null {
        if pair.old.has(Attribute::NotNull) {
            out.add(Phase::Create, alter("drop not null"));
        }
        match (new.has(Attribute::NotNull), new.text(Attribute::NotNullName).map(ident)) {
            (true, Some(name)) => {
                out.add(Phase::Create, alter(&format!("add constraint {name} not null")));
            }
            (true, None) => out.add(Phase::Create, alter("set not null")),
            _ => {}
        }
    }
    domain_not_null_comment(pair, has_new_not_null, out);
}

fn domain_not_null_comment(pair: &Pair<'_, '_>, has_new_not_null: bool, out: &mut Script) {
    let text = pair.new.text(Attribute::NotNullComment);
    let is_due = pair.differs_in(Attribute::NotNullComment) || has_new_not_null && text.is_some();
    if let (true, Some(name)) = (is_due, pair.new.text(Attribute::NotNullName)) {
        let target = format!("constraint {} on domain {}", ident(name), own(&pair.key.name));
        out.add(Phase::Label, comment(&target, text));
    }
}

/// Returns the statements that add the labels that an enum lacks, each at its place.
pub(super) fn new_labels(key: &ObjectKey, old: &Object, new: &Object) -> Vec<String> {
    let (before, after) = (old.list(Attribute::Labels), new.list(Attribute::Labels));
    let quoted = |label: &str| literal(&escape(label));
    let mut found = Vec::new();
    for (at, label) in after.iter().enumerate().filter(|(_, label)| !before.contains(label)) {
        let place = match at.checked_sub(1) {
            Some(previous) => format!(" after {}", quoted(&after[previous])),
            None => {
                before.first().map(|first| format!(" before {}", quoted(first))).unwrap_or_default()
            }
        };
        found.push(format!("alter type {} add value {}{place}", own(&key.name), quoted(label)));
    }
    found
}
