//! Tables and views that are kept, and their parts.

use super::{
    super::{
        Attribute, ObjectKey, ObjectKind,
        ddl::{Phase, Script, enable_key_trigger, ident, literal, own, script},
    },
    indexes, options,
    pair::Pair,
    plan::Plan,
    sequences,
    target::target,
};

/// Adds the changes of an object that both have, except for those of attributes that all kinds have.
pub(super) fn alter(pair: &Pair<'_, '_>, out: &mut Script) {
    match pair.key.kind {
        ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView => relation(pair, out),
        ObjectKind::Sequence => sequences::alter(pair, out),
        ObjectKind::Index | ObjectKind::Constraint => indexes::alter(pair, out),
        ObjectKind::Statistics => statistics(pair, out),
        ObjectKind::Trigger | ObjectKind::Rule => enabled(pair, out),
        ObjectKind::SecurityLabel => {
            for (phase, sql) in script(pair.plan.expected, pair.key).into_phases() {
                out.add(phase, sql);
            }
        }
        _ => {}
    }
}

fn statistics(pair: &Pair<'_, '_>, out: &mut Script) {
    if pair.differs_in(Attribute::StatisticsTarget) {
        let target = pair.new.text(Attribute::StatisticsTarget).unwrap_or("-1");
        let name = own(&pair.key.name);
        out.add(Phase::Statistics, format!("alter statistics {name} set statistics {target}"));
    }
}

/// Makes a trigger or rule fire as its attribute requires.
fn enabled(pair: &Pair<'_, '_>, out: &mut Script) {
    if pair.differs_in(Attribute::Enabled) {
        let key = pair.key;
        let table = own(key.of.as_deref().unwrap_or_default());
        let words = enabling(pair.new.text(Attribute::Enabled));
        let (kind, name) = (key.kind, ident(&key.name));
        let sql = enable_key_trigger(key, pair.new, words);
        let sql = sql.unwrap_or_else(|| format!("alter table {table} {words} {kind} {name}"));
        out.add(Phase::Enabled, sql);
    }
}

/// Returns the words that make a trigger or rule fire as its attribute requires.
pub(super) fn enabling(state: Option<&str>) -> &'static str {
    match state {
        Some("disabled") => "disable",
        Some("replica") => "enable replica",
        Some("always") => "enable always",
        _ => "enable",
    }
}

fn relation(pair: &Pair<'_, '_>, out: &mut Script) {
    let (old, new) = (pair.old, pair.new);
    storage(pair, out);
    if pair.differs_in(Attribute::ReplicaIdentity) {
        let identity = new.text(Attribute::ReplicaIdentity).unwrap_or("default");
        let name = own(&pair.key.name);
        // An index that identifies rows is created later.
        let sql = format!("alter table only {name} replica identity {identity}");
        out.add(Phase::Attach, sql);
    }
    row_security(pair, out);
    if pair.differs_in(Attribute::ForeignOptions)
        && let Some(options) = options::foreign(old, new)
    {
        let target = target(pair.plan.expected, pair.key);
        out.add(Phase::Create, format!("alter {target} {options}"));
    }
}

/// Adds the changes of how and where rows are stored.
fn storage(pair: &Pair<'_, '_>, out: &mut Script) {
    let (old, new) = (pair.old, pair.new);
    let alter = |what: &str| format!("alter {} {what}", target(pair.plan.expected, pair.key));
    if pair.differs_in(Attribute::Unlogged) {
        let words = if new.has(Attribute::Unlogged) { "set unlogged" } else { "set logged" };
        out.add(Phase::Create, format!("alter table {} {words}", own(&pair.key.name)));
    }
    if pair.differs_in(Attribute::AccessMethod) {
        let method = ident(new.text(Attribute::AccessMethod).unwrap_or("heap"));
        out.add(Phase::Create, alter(&format!("set access method {method}")));
    }
    if pair.differs_in(Attribute::Tablespace) {
        let space = ident(new.text(Attribute::Tablespace).unwrap_or("pg_default"));
        out.add(Phase::Create, alter(&format!("set tablespace {space}")));
    }
    for (attribute, prefix) in [(Attribute::Options, ""), (Attribute::ToastOptions, "toast.")] {
        if pair.differs_in(attribute) {
            for what in options::storage(old, new, attribute, prefix) {
                out.add(Phase::Create, alter(&what));
            }
        }
    }
}

fn row_security(pair: &Pair<'_, '_>, out: &mut Script) {
    let table = own(&pair.key.name);
    for (attribute, on, off) in [
        (Attribute::RowSecurity, "enable", "disable"),
        (Attribute::ForceRowSecurity, "force", "no force"),
    ] {
        if pair.differs_in(attribute) {
            let word = if pair.new.has(attribute) { on } else { off };
            out.add(Phase::Policy, format!("alter table {table} {word} row level security"));
        }
    }
}

/// Returns the statement that removes a security label.
pub(super) fn without_label(plan: &Plan<'_>, key: &ObjectKey) -> Option<String> {
    let statements = script(plan.actual, key).into_phases();
    let label = plan.actual.get(key)?.text(Attribute::Label)?;
    let (_, sql) = statements.into_iter().next()?;
    let end = format!(" is {}", literal(label));
    Some(format!("{} is null", sql.strip_suffix(&end)?))
}
