//! Sequences that are kept.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{Phase, Script, own, sequence_options},
    },
    pair::Pair,
    plan::Plan,
};

/// The attributes that `alter sequence` sets together.
const NUMBERS: &[Attribute] = &[
    Attribute::Type,
    Attribute::Start,
    Attribute::Increment,
    Attribute::Minimum,
    Attribute::Maximum,
    Attribute::Cache,
    Attribute::Cycle,
];

/// Adds the changes of a sequence.
pub(super) fn alter(sequence: &Pair<'_, '_>, out: &mut Script) {
    let (name, new) = (own(&sequence.key.name), sequence.new);
    if sequence.differs_in_any(NUMBERS) {
        // An identity has its sequence by then.
        out.add(Phase::Identity, format!("alter sequence {name}{}", numbers(sequence)));
    }
    if sequence.differs_in(Attribute::Unlogged) {
        let words = if new.has(Attribute::Unlogged) { "set unlogged" } else { "set logged" };
        out.add(Phase::Identity, format!("alter sequence {name} {words}"));
    }
    if sequence.differs_in(Attribute::OwnedBy) {
        let column = new.text(Attribute::OwnedBy).unwrap_or("none");
        out.add(Phase::Ownership, format!("alter sequence {name} owned by {column}"));
    }
}

/// Returns the options of `alter sequence`, each with a leading blank.
fn numbers(sequence: &Pair<'_, '_>) -> String {
    let (old, new) = (sequence.old, sequence.new);
    let mut sql = String::new();
    if sequence.differs_in(Attribute::Type) {
        let data_type = new.text(Attribute::Type).unwrap_or("bigint");
        sql.push_str(&format!(" as {data_type}"));
    }
    for (attribute, words) in
        [(Attribute::Minimum, " no minvalue"), (Attribute::Maximum, " no maxvalue")]
    {
        // The implied value depends on the type and the direction.
        if new.get(attribute).is_none() {
            sql.push_str(words);
        }
    }
    if let Some(start) = new.text(Attribute::Start) {
        sql.push_str(&format!(" start with {start}"));
    }
    // Its value is restored, as far as the bounds allow.
    if is_bounded_anew(sequence.plan, sequence.key) {
        sql.push_str(" restart");
    }
    let mut rest = new.clone();
    rest.remove(Attribute::Start);
    sql.push_str(&sequence_options(&rest));
    for (attribute, words) in
        [(Attribute::Increment, " increment by 1"), (Attribute::Cache, " cache 1")]
    {
        let is_default = new.text(attribute).is_none_or(|value| value == "1");
        if sequence.differs_in(attribute) && is_default {
            sql.push_str(words);
        }
    }
    if old.has(Attribute::Cycle) && !new.has(Attribute::Cycle) {
        sql.push_str(" no cycle");
    }
    sql
}

/// Returns `true` if the value of a kept sequence may be out of its bounds.
pub(super) fn is_bounded_anew(plan: &Plan<'_>, key: &ObjectKey) -> bool {
    const BOUNDS: &[Attribute] = &[Attribute::Minimum, Attribute::Maximum, Attribute::Type];
    Pair::find(plan, key).is_some_and(|sequence| {
        let turns = is_downward(sequence.new) != is_downward(sequence.old);
        key.kind == ObjectKind::Sequence
            && !plan.dropped.contains(key)
            && (turns || sequence.differs_in_any(BOUNDS))
    })
}

/// Returns `true` if a sequence counts down.
pub(super) fn is_downward(sequence: &Object) -> bool {
    sequence.text(Attribute::Increment).is_some_and(|increment| increment.starts_with('-'))
}

/// Returns `true` if a sequence belongs to an identity column.
pub(super) fn is_identity(sequence: &Object) -> bool {
    sequence.get(Attribute::IdentityOf).is_some()
}

/// Returns the printed name of the column that a sequence belongs to.
pub(super) fn column_of(sequence: &Object) -> Option<&str> {
    sequence.text(Attribute::IdentityOf).or(sequence.text(Attribute::OwnedBy))
}
