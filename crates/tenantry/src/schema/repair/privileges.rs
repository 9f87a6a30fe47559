//! Owners, grants, comments, and the extensions that an object depends on.

use std::collections::BTreeSet;

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind, SchemaModel,
        ddl::{Phase, Script, builtin_grants, grant_changes, grantee_and_grantor, ident, literal},
    },
    pair::Pair,
    plan::Plan,
    target::{granted, target},
};

/// Adds the statements for the attributes that all kinds of objects have.
pub(super) fn common(pair: &Pair<'_, '_>, out: &mut Script) {
    let Pair { plan, key, old, new } = *pair;
    let name = target(plan.expected, key);
    if pair.differs_in(Attribute::Owner)
        && let Some(owner) = new.text(Attribute::Owner)
    {
        // An owned sequence has the owner of its table.
        let is_owned = key.kind == ObjectKind::Sequence
            && (old.get(Attribute::OwnedBy).is_some() || old.get(Attribute::IdentityOf).is_some());
        let phase = if is_owned { Phase::Identity } else { Phase::Create };
        out.add(phase, format!("alter {name} owner to {owner}"));
    }
    if pair.differs_in_any(&[Attribute::Grants, Attribute::Owner]) {
        grants(pair, out);
    }
    let index = format!("index {{schema}}.{}", ident(&key.name));
    for (attribute, name) in [(Attribute::Comment, &name), (Attribute::IndexComment, &index)] {
        if pair.differs_in(attribute) {
            out.add(Phase::Label, comment(name, new.text(attribute)));
        }
    }
    match key.kind {
        ObjectKind::Constraint => extensions(pair, &index, out),
        _ => extensions(pair, &name, out),
    }
}

/// Changes the extensions with which an object is dropped.
fn extensions(pair: &Pair<'_, '_>, name: &str, out: &mut Script) {
    let extensions = |object: &Object| -> BTreeSet<String> {
        object.list(Attribute::DependsOnExtensions).iter().cloned().collect()
    };
    let (before, after) = (extensions(pair.old), extensions(pair.new));
    for extension in before.difference(&after) {
        let extension = ident(extension);
        out.add(Phase::Extension, format!("alter {name} no depends on extension {extension}"));
    }
    for extension in after.difference(&before) {
        let extension = ident(extension);
        out.add(Phase::Extension, format!("alter {name} depends on extension {extension}"));
    }
}

pub(super) fn comment(target: &str, text: Option<&str>) -> String {
    let text = text.map_or_else(|| "null".to_owned(), literal);
    format!("comment on {target} is {text}")
}

fn grants(pair: &Pair<'_, '_>, out: &mut Script) {
    let Pair { plan, key, old, new } = *pair;
    if key.kind == ObjectKind::DefaultPrivileges {
        let role = key.of.as_deref().unwrap_or_default();
        let (before, after) = (old.list(Attribute::Grants), new.list(Attribute::Grants));
        for change in grant_changes(&key.name, "", before, after) {
            out.add(Phase::DefaultPrivileges, default_privileges(role, &change));
        }
        return;
    }
    let Some((granted, (old_owner, new_owner))) = granted_and_owners(pair) else { return };
    let version = plan.actual.server_version;
    let list = |object: &Object, owner| match object.get(Attribute::Grants) {
        None if key.kind != ObjectKind::Column => builtin_grants(&granted, owner, version),
        _ => object.list(Attribute::Grants).to_vec(),
    };
    let mut before = list(old, old_owner);
    // Privileges that the old owner had and granted become the new owner's.
    if old_owner != new_owner {
        for grant in &mut before {
            *grant = grantee_and_grantor(grant, |role| match role == old_owner {
                true => new_owner.to_owned(),
                false => role.to_owned(),
            });
        }
    }
    for statement in grant_changes(&granted, new_owner, &before, &list(new, new_owner)) {
        out.add(Phase::Grant, statement);
    }
}

/// Returns the object's target for `grant`, and its owner before and after; `None` if no privileges can be granted.
fn granted_and_owners<'p>(pair: &Pair<'p, '_>) -> Option<(String, (&'p str, &'p str))> {
    let Pair { plan, key, old, new } = *pair;
    if key.kind == ObjectKind::Column {
        let of = key.of.as_deref().unwrap_or_default();
        let column = format!("({}) on table {{schema}}.{}", ident(&key.name), ident(of));
        return Some((column, owner_changes(plan, of)));
    }
    let owner = |object: &'p Object| object.text(Attribute::Owner).unwrap_or_default();
    Some((granted(key)?, (owner(old), owner(new))))
}

pub(super) fn default_privileges(role: &str, change: &str) -> String {
    format!("alter default privileges for role {role} in schema {{schema}} {change}")
}

/// Returns the owner of a relation before and after.
fn owner_changes<'a>(plan: &Plan<'a>, relation: &str) -> (&'a str, &'a str) {
    let kinds = [
        ObjectKind::Table,
        ObjectKind::ForeignTable,
        ObjectKind::View,
        ObjectKind::MaterializedView,
    ];
    let owner = |model: &'a SchemaModel| {
        kinds
            .into_iter()
            .find_map(|kind| model.get(&ObjectKey::new(kind, relation))?.text(Attribute::Owner))
            .unwrap_or_default()
    };
    (owner(plan.actual), owner(plan.expected))
}
