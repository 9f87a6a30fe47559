//! Indexes and constraints that are kept.

use super::{
    super::{
        Attribute, ObjectKey, ObjectKind,
        ddl::{Phase, Script, ident, own},
    },
    options,
    pair::Pair,
    plan::table_of,
    target::target,
    treatment::only_validates,
};

/// Adds the changes of an index or a constraint, and those of an index that belongs to a constraint.
pub(super) fn alter(pair: &Pair<'_, '_>, out: &mut Script) {
    let (key, new) = (pair.key, pair.new);
    let (index, name) = (own(&key.name), ident(&key.name));
    let table = own(table_of(key, new));
    if pair.differs_in(Attribute::Definition) && only_validates(new, pair.old) {
        let is_of_domain = target(pair.plan.expected, key).contains(" on domain ");
        let kind = if is_of_domain { "domain" } else { "table" };
        let sql = format!("alter {kind} {table} validate constraint {name}");
        out.add(Phase::ForeignKey, sql);
    }
    storage(pair, &index, out);
    if let (true, Some(parent)) =
        (pair.differs_in(Attribute::AttachedTo), new.text(Attribute::AttachedTo))
    {
        out.add(Phase::Attach, format!("alter index {parent} attach partition {index}"));
    }
    if pair.differs_in(Attribute::Clustered) {
        match new.has(Attribute::Clustered) {
            true => out.add(Phase::UseIndex, format!("alter table {table} cluster on {name}")),
            false => out.add(Phase::Attach, format!("alter table {table} set without cluster")),
        }
    }
    if pair.differs_in(Attribute::ReplicaIdentity) {
        replica_identity(pair, out);
    }
}

/// Adds the changes of an index's options, tablespace and statistics targets.
fn storage(pair: &Pair<'_, '_>, index: &str, out: &mut Script) {
    let (old, new) = (pair.old, pair.new);
    if pair.differs_in(Attribute::Options) {
        for what in options::storage(old, new, Attribute::Options, "") {
            out.add(Phase::Index, format!("alter index {index} {what}"));
        }
    }
    if pair.differs_in(Attribute::Tablespace) {
        let space = ident(new.text(Attribute::Tablespace).unwrap_or("pg_default"));
        out.add(Phase::Index, format!("alter index {index} set tablespace {space}"));
    }
    if pair.differs_in(Attribute::StatisticsTarget) {
        let (before, after) =
            (old.list(Attribute::StatisticsTarget), new.list(Attribute::StatisticsTarget));
        for (column, target) in statistics_targets(before, after) {
            let sql = format!("alter index {index} alter column {column} set statistics {target}");
            out.add(Phase::Index, sql);
        }
    }
}

/// Returns the columns with the statistics targets to set: `-1`, the default, for those that have none any more.
fn statistics_targets<'a>(
    before: &'a [String],
    after: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let column = |target: &'a str| target.split('=').next().unwrap_or_default();
    let gone = before.iter().map(move |target| column(target));
    let gone = gone.filter(move |name| !after.iter().any(|target| column(target) == *name));
    let set = after.iter().filter_map(|target| target.split_once('='));
    gone.map(|name| (name, "-1")).chain(set)
}

fn replica_identity(pair: &Pair<'_, '_>, out: &mut Script) {
    let table = table_of(pair.key, pair.new);
    let alter = format!("alter table only {} replica identity", own(table));
    // The table's own change sets another identity.
    let table = ObjectKey::new(ObjectKind::Table, table);
    let is_set = pair.plan.changes(&table).contains(&Attribute::ReplicaIdentity);
    match pair.new.has(Attribute::ReplicaIdentity) {
        true => {
            let name = ident(&pair.key.name);
            out.add(Phase::UseIndex, format!("{alter} using index {name}"));
        }
        false if is_set => {}
        false => out.add(Phase::Attach, format!("{alter} default")),
    }
}
