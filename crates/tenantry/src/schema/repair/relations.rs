//! Tables, views and sequences that are kept, and their parts.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{
            Phase, Script, enable_key_trigger, escape, ident, literal, own, script,
            sequence_options,
        },
    },
    columns::{foreign, options},
    plan::{Plan, table_of},
    target::target,
    treatment::only_validates,
};

/// Adds the changes of an object that both have, except for those of attributes that all kinds have.
pub(super) fn alter(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let (new, old) = (&plan.expected.objects[key], &plan.actual.objects[key]);
    match key.kind {
        ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView => relation(plan, key, (old, new), out),
        ObjectKind::Sequence => sequence(plan, key, (old, new), out),
        ObjectKind::Index | ObjectKind::Constraint => index(plan, key, (old, new), out),
        ObjectKind::Statistics => {
            let target = new.text(Attribute::StatisticsTarget).unwrap_or("-1");
            if plan.changed[key].contains(&Attribute::StatisticsTarget) {
                let name = own(&key.name);
                let sql = format!("alter statistics {name} set statistics {target}");
                out.add(Phase::Statistics, sql);
            }
        }
        ObjectKind::Trigger | ObjectKind::Rule
            if plan.changed[key].contains(&Attribute::Enabled) =>
        {
            let table = own(key.of.as_deref().unwrap_or_default());
            let words = enabling(new.text(Attribute::Enabled));
            let (kind, name) = (key.kind, ident(&key.name));
            let sql = enable_key_trigger(key, new, words);
            let sql = sql.unwrap_or_else(|| format!("alter table {table} {words} {kind} {name}"));
            out.add(Phase::Enabled, sql);
        }
        ObjectKind::SecurityLabel => {
            for (phase, sql) in script(plan.expected, key).into_phases() {
                out.add(phase, sql);
            }
        }
        _ => {}
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

fn relation(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let attributes = &plan.changed[key];
    let is = |attribute| attributes.contains(&attribute);
    let name = own(&key.name);
    let alter = |what: &str| format!("alter {} {what}", target(plan.expected, key));
    let table = |what: &str| format!("alter table {name} {what}");
    if is(Attribute::Unlogged) {
        let words = if new.has(Attribute::Unlogged) { "set unlogged" } else { "set logged" };
        out.add(Phase::Create, table(words));
    }
    if is(Attribute::AccessMethod) {
        let method = ident(new.text(Attribute::AccessMethod).unwrap_or("heap"));
        out.add(Phase::Create, alter(&format!("set access method {method}")));
    }
    if is(Attribute::Tablespace) {
        let space = ident(new.text(Attribute::Tablespace).unwrap_or("pg_default"));
        out.add(Phase::Create, alter(&format!("set tablespace {space}")));
    }
    for (attribute, prefix) in [(Attribute::Options, ""), (Attribute::ToastOptions, "toast.")] {
        if is(attribute) {
            for what in options(old, new, attribute, prefix) {
                out.add(Phase::Create, alter(&what));
            }
        }
    }
    if is(Attribute::ReplicaIdentity) {
        let identity = new.text(Attribute::ReplicaIdentity).unwrap_or("default");
        // An index that identifies rows is created later.
        let sql = format!("alter table only {name} replica identity {identity}");
        out.add(Phase::Attach, sql);
    }
    for (attribute, on, off) in [
        (Attribute::RowSecurity, "enable", "disable"),
        (Attribute::ForceRowSecurity, "force", "no force"),
    ] {
        if is(attribute) {
            let word = if new.has(attribute) { on } else { off };
            out.add(Phase::Policy, table(&format!("{word} row level security")));
        }
    }
    if is(Attribute::ForeignOptions)
        && let Some(options) = foreign(old, new)
    {
        out.add(Phase::Create, alter(&options));
    }
}

fn sequence(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let attributes = &plan.changed[key];
    let name = own(&key.name);
    let numbers = [
        Attribute::Type,
        Attribute::Start,
        Attribute::Increment,
        Attribute::Minimum,
        Attribute::Maximum,
        Attribute::Cache,
        Attribute::Cycle,
    ];
    if numbers.iter().any(|attribute| attributes.contains(attribute)) {
        let mut sql = format!("alter sequence {name}");
        if attributes.contains(&Attribute::Type) {
            let data_type = new.text(Attribute::Type).unwrap_or("bigint");
            sql.push_str(&format!(" as {data_type}"));
        }
        for (attribute, words) in
            [(Attribute::Minimum, "no minvalue"), (Attribute::Maximum, "no maxvalue")]
        {
            // The implied value depends on the type and the direction.
            if new.get(attribute).is_none() {
                sql.push_str(&format!(" {words}"));
            }
        }
        if let Some(start) = new.text(Attribute::Start) {
            sql.push_str(&format!(" start with {start}"));
        }
        // Its value is restored, as far as the bounds allow.
        if is_bounded_anew(plan, key) {
            sql.push_str(" restart");
        }
        let mut rest = new.clone();
        rest.remove(Attribute::Start);
        sql.push_str(&sequence_options(&rest));
        for (attribute, default, words) in
            [(Attribute::Increment, "1", "increment by 1"), (Attribute::Cache, "1", "cache 1")]
        {
            let is_default = new.text(attribute).is_none_or(|value| value == default);
            if attributes.contains(&attribute) && is_default {
                sql.push_str(&format!(" {words}"));
            }
        }
        if old.has(Attribute::Cycle) && !new.has(Attribute::Cycle) {
            sql.push_str(" no cycle");
        }
        // An identity has its sequence by then.
        out.add(Phase::Identity, sql);
    }
    if attributes.contains(&Attribute::Unlogged) {
        let words = if new.has(Attribute::Unlogged) { "set unlogged" } else { "set logged" };
        out.add(Phase::Identity, format!("alter sequence {name} {words}"));
    }
    if attributes.contains(&Attribute::OwnedBy) {
        let column = new.text(Attribute::OwnedBy).unwrap_or("none");
        out.add(Phase::Ownership, format!("alter sequence {name} owned by {column}"));
    }
}

/// Returns `true` if the value of a kept sequence may be out of its bounds.
pub(super) fn is_bounded_anew(plan: &Plan<'_>, key: &ObjectKey) -> bool {
    let (Some(new), Some(old)) = (plan.expected.get(key), plan.actual.get(key)) else {
        return false;
    };
    let changes = plan.changes(key);
    key.kind == ObjectKind::Sequence
        && !plan.dropped.contains(key)
        && (is_downward(new) != is_downward(old)
            || [Attribute::Minimum, Attribute::Maximum, Attribute::Type]
                .iter()
                .any(|attribute| changes.contains(attribute)))
}

/// Returns `true` if a sequence counts down.
pub(super) fn is_downward(sequence: &Object) -> bool {
    sequence.text(Attribute::Increment).is_some_and(|increment| increment.starts_with('-'))
}

/// Adds the properties of an index that are not in its definition, including an index that belongs to a constraint.
fn index(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let attributes = &plan.changed[key];
    let is = |attribute| attributes.contains(&attribute);
    let (index, table) = (own(&key.name), own(table_of(key, new)));
    if is(Attribute::Definition) && only_validates(new, old) {
        let sql = match target(plan.expected, key).contains(" on domain ") {
            true => format!("alter domain {table} validate constraint {}", ident(&key.name)),
            false => format!("alter table {table} validate constraint {}", ident(&key.name)),
        };
        out.add(Phase::ForeignKey, sql);
    }
    if is(Attribute::Options) {
        for what in options(old, new, Attribute::Options, "") {
            out.add(Phase::Index, format!("alter index {index} {what}"));
        }
    }
    if is(Attribute::Tablespace) {
        let space = ident(new.text(Attribute::Tablespace).unwrap_or("pg_default"));
        out.add(Phase::Index, format!("alter index {index} set tablespace {space}"));
    }
    if is(Attribute::StatisticsTarget) {
        let (before, after) =
            (old.list(Attribute::StatisticsTarget), new.list(Attribute::StatisticsTarget));
        let column = |target: &str| target.split('=').next().unwrap_or_default().to_owned();
        let gone = before.iter().map(|target| column(target));
        let gone = gone.filter(|name| !after.iter().any(|target| column(target) == *name));
        let gone: Vec<_> = gone.map(|name| (name, "-1".to_owned())).collect();
        let set = after.iter().filter_map(|target| target.split_once('='));
        let set = set.map(|(name, target)| (name.to_owned(), target.to_owned()));
        for (column, target) in gone.into_iter().chain(set) {
            let sql = format!("alter index {index} alter column {column} set statistics {target}");
            out.add(Phase::Index, sql);
        }
    }
    if let (true, Some(parent)) = (is(Attribute::AttachedTo), new.text(Attribute::AttachedTo)) {
        out.add(Phase::Attach, format!("alter index {parent} attach partition {index}"));
    }
    if is(Attribute::Clustered) {
        match new.has(Attribute::Clustered) {
            true => out.add(
                Phase::UseIndex,
                format!("alter table {table} cluster on {}", ident(&key.name)),
            ),
            false => out.add(Phase::Attach, format!("alter table {table} set without cluster")),
        }
    }
    if is(Attribute::ReplicaIdentity) {
        let alter = format!("alter table only {table} replica identity");
        let is_said = plan
            .changed
            .get(&ObjectKey::new(ObjectKind::Table, table_of(key, new)))
            .is_some_and(|attributes| attributes.contains(&Attribute::ReplicaIdentity));
        match new.has(Attribute::ReplicaIdentity) {
            true => {
                let name = ident(&key.name);
                out.add(Phase::UseIndex, format!("{alter} using index {name}"));
            }
            false if is_said => {}
            false => out.add(Phase::Attach, format!("{alter} default")),
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

/// Returns the values of labels that are missing, each with where it belongs.
pub(super) fn labels(key: &ObjectKey, old: &Object, new: &Object) -> Vec<String> {
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
