//! Routines, domains and composite types that are kept.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{Phase, Script, ident, own, script},
    },
    plan::Plan,
};

/// Adds the changes of an object that both have, except for those of attributes that all kinds have.
pub(super) fn alter(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let (new, old) = (&plan.expected.objects[key], &plan.actual.objects[key]);
    match key.kind {
        ObjectKind::Function | ObjectKind::Procedure => routine(plan, key, out),
        ObjectKind::Domain => domain(plan, key, (old, new), out),
        _ => {}
    }
}

fn routine(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let in_common =
        [Attribute::Owner, Attribute::Grants, Attribute::Comment, Attribute::DependsOnExtensions];
    if plan.changed[key].iter().all(|attribute| in_common.contains(attribute)) {
        return;
    }
    // Its owner, privileges and comment are kept.
    if let Some((phase, create)) = script(plan.expected, key).into_phases().into_iter().next() {
        out.add(phase, create.replacen("create ", "create or replace ", 1));
    }
}

fn domain(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let name = own(&key.name);
    let attributes = plan.changes(key);
    let is_redefaulted = plan.redefaulted.contains(&(&*key.name, ""));
    if attributes.contains(&Attribute::Default) || is_redefaulted {
        match new.text(Attribute::Default) {
            Some(default) => {
                out.add(Phase::Create, format!("alter domain {name} set default {default}"));
            }
            None if is_redefaulted => {}
            None => out.add(Phase::Create, format!("alter domain {name} drop default")),
        }
    }
    let not_null = [Attribute::NotNull, Attribute::NotNullName];
    if not_null.iter().any(|attribute| attributes.contains(attribute)) {
        if old.has(Attribute::NotNull) {
            out.add(Phase::Create, format!("alter domain {name} drop not null"));
        }
        match (new.has(Attribute::NotNull), new.text(Attribute::NotNullName)) {
            (true, Some(constraint)) => {
                let constraint = ident(constraint);
                let sql = format!("alter domain {name} add constraint {constraint} not null");
                out.add(Phase::Create, sql);
            }
            (true, None) => out.add(Phase::Create, format!("alter domain {name} set not null")),
            _ => {}
        }
    }
    let is_commented = new.get(Attribute::NotNullComment).is_some();
    let is_new = not_null.iter().any(|attribute| attributes.contains(attribute));
    if let (true, Some(constraint)) = (
        attributes.contains(&Attribute::NotNullComment) || is_new && is_commented,
        new.text(Attribute::NotNullName),
    ) {
        let target = format!("constraint {} on domain {name}", ident(constraint));
        let text = new.text(Attribute::NotNullComment);
        out.add(Phase::Label, super::privileges::comment(&target, text));
    }
}
