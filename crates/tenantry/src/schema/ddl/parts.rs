//! Parts of a table: constraints, indexes, triggers, rules, policies, statistics.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    ident, literal, own,
    quoting::escape,
    script::{Phase, Script},
};

/// Returns `true` if a constraint is a check.
pub(in crate::schema) fn is_check(constraint: &Object) -> bool {
    is_a(constraint, "CHECK ")
}

/// Returns `true` if a constraint is a primary key, a unique constraint or an exclusion constraint.
pub(in crate::schema) fn is_key(constraint: &Object) -> bool {
    ["PRIMARY KEY ", "UNIQUE ", "EXCLUDE "].into_iter().any(|words| is_a(constraint, words))
}

/// Returns `true` if a table is created with this constraint. A function that takes a whole row of the table can only
/// be created after the table.
pub(in crate::schema) fn comes_with_its_table(constraint: &Object) -> bool {
    let takes_row = constraint.text(Attribute::Definition).is_some_and(|text| text.contains(".*"));
    is_check(constraint) && !is_not_valid(constraint) && !takes_row
}

fn is_not_valid(constraint: &Object) -> bool {
    constraint.text(Attribute::Definition).is_some_and(|text| text.ends_with(" NOT VALID"))
}

fn is_a(constraint: &Object, words: &str) -> bool {
    constraint.text(Attribute::Definition).is_some_and(|text| text.starts_with(words))
}

/// Returns `true` if a constraint is a domain's.
pub(in crate::schema) fn is_of_domain(model: &SchemaModel, key: &ObjectKey) -> bool {
    let of = key.of.as_deref().unwrap_or_default();
    model.get(&ObjectKey::new(ObjectKind::Domain, of)).is_some()
}

fn is_partitioned(model: &SchemaModel, table: &str) -> bool {
    let table = model.get(&ObjectKey::new(ObjectKind::Table, table));
    table.is_some_and(|table| table.get(Attribute::PartitionKey).is_some())
}

pub(super) fn constraint(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let of = key.of.as_deref().unwrap_or_default();
    let (table, name) = (own(of), ident(&key.name));
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    if is_of_domain(model, key) {
        let statement = format!("alter domain {table} add constraint {name} {definition}");
        out.add(Phase::Create, statement);
        let target = format!("constraint {name} on domain {table}");
        out.comment_of(object, Attribute::Comment, Phase::Create, &target);
        return;
    }
    let target = format!("constraint {name} on {table}");
    let phase = match () {
        () if is_check(object) => Phase::Check,
        () if is_a(object, "FOREIGN KEY ") => Phase::ForeignKey,
        () => Phase::Key,
    };
    // A check and a foreign key hold for the parts as well.
    let only = if phase == Phase::Key { "only " } else { "" };
    out.add(phase, format!("alter table {only}{table} add constraint {name} {definition}"));
    out.comment_of(object, Attribute::Comment, phase, &target);
    if phase == Phase::Key {
        index_attributes(key, of, object, phase, out);
        out.comment_of(
            object,
            Attribute::IndexComment,
            phase,
            &format!("index {}", own(&key.name)),
        );
    }
}

/// Adds the properties of an index that are not in its definition.
fn index_attributes(key: &ObjectKey, table: &str, object: &Object, phase: Phase, out: &mut Script) {
    let (index, table) = (own(&key.name), own(table));
    let options = object.list(Attribute::Options);
    if !options.is_empty() {
        let options: Vec<_> = options.iter().map(|o| super::quoting::storage_option(o)).collect();
        out.add(phase, format!("alter index {index} set ({})", options.join(", ")));
    }
    if let Some(tablespace) = object.text(Attribute::Tablespace) {
        out.add(phase, format!("alter index {index} set tablespace {}", ident(tablespace)));
    }
    for target in object.list(Attribute::StatisticsTarget) {
        let (column, target) = target.split_once('=').unwrap_or((target, "-1"));
        let statement =
            format!("alter index {index} alter column {column} set statistics {target}");
        out.add(phase, statement);
    }
    if let Some(parent) = object.text(Attribute::AttachedTo) {
        out.add(Phase::Attach, format!("alter index {parent} attach partition {index}"));
    }
    let used = phase.max(Phase::UseIndex);
    if object.has(Attribute::Clustered) {
        out.add(used, format!("alter table {table} cluster on {}", ident(&key.name)));
    }
    if object.has(Attribute::ReplicaIdentity) {
        let name = ident(&key.name);
        let statement = format!("alter table only {table} replica identity using index {name}");
        out.add(used, statement);
    }
    out.extensions(object, &format!("index {index}"));
}

pub(super) fn index(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let table = object.text(Attribute::Table).unwrap_or_default();
    let unique = if object.has(Attribute::Unique) { "unique " } else { "" };
    let only = if is_partitioned(model, table) { "only " } else { "" };
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    let (name, on) = (ident(&key.name), own(table));
    let create = format!("create {unique}index {name} on {only}{on} {definition}");
    // A function of an extension is inlined, and the functions that it calls may have to be resolved.
    let schemas = schemas_of_calls(definition);
    let is_partition = !only.is_empty() || object.get(Attribute::AttachedTo).is_some();
    let phase = match schemas.is_empty() || is_partition {
        true => Phase::Index,
        false => Phase::LateIndex,
    };
    if schemas.is_empty() {
        out.add(phase, create);
    } else {
        out.add(phase, format!("set search_path = {{schema}}, {}", schemas.join(", ")));
        out.add(phase, create);
        out.add(phase, "set search_path = {schema}");
    }
    index_attributes(key, table, object, phase, out);
    out.comment_of(object, Attribute::Comment, phase, &format!("index {}", own(&key.name)));
}

/// Returns the schemas of the functions that a text calls, other than its own schema, as written.
fn schemas_of_calls(text: &str) -> Vec<&str> {
    let mut schemas = Vec::new();
    for (parenthesis, _) in text.match_indices('(') {
        let Some((before, _)) = split_name(&text[..parenthesis]) else { continue };
        let Some(before) = before.strip_suffix('.') else { continue };
        let Some((before, schema)) = split_name(before) else { continue };
        if !before.ends_with(['.', '{']) && !schemas.contains(&schema) {
            schemas.push(schema);
        }
    }
    schemas
}

/// Splits off the trailing identifier of a text.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let start = match text.strip_suffix('"') {
        Some(inner) => {
            let mut start = inner.rfind('"')?;
            while let Some(outer) = inner[..start].strip_suffix('"') {
                start = outer.rfind('"')?;
            }
            start
        }
        None => text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '$').len(),
    };
    (start < text.len()).then(|| text.split_at(start))
}

pub(super) fn statistics(_: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let table = object.text(Attribute::Table).unwrap_or_default();
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    let kinds =
        object.list(Attribute::StatisticsKinds).iter().filter(|kind| *kind != "expressions");
    let kinds = kinds.map(String::as_str).collect::<Vec<_>>().join(", ");
    let kinds = if kinds.is_empty() { kinds } else { format!(" ({kinds})") };
    out.add(
        Phase::Statistics,
        format!("create statistics {name}{kinds} on {definition} from {table}"),
    );
    if let Some(target) = object.text(Attribute::StatisticsTarget) {
        out.add(Phase::Statistics, format!("alter statistics {name} set statistics {target}"));
    }
    if let Some(owner) = object.text(Attribute::Owner) {
        out.add(Phase::Statistics, format!("alter statistics {name} owner to {owner}"));
    }
    out.comment_of(object, Attribute::Comment, Phase::Statistics, &format!("statistics {name}"));
}

/// Returns the words that enable a trigger or rule as its attribute requires.
fn enabled(object: &Object) -> Option<&'static str> {
    Some(match object.text(Attribute::Enabled)? {
        "disabled" => "disable",
        "replica" => "enable replica",
        "always" => "enable always",
        _ => "enable",
    })
}

pub(super) fn trigger(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let of = key.of.as_deref().unwrap_or_default();
    let (table, name) = (own(of), ident(&key.name));
    let target = format!("trigger {name} on {table}");
    if let Some(definition) = object.text(Attribute::Definition) {
        let kind =
            if object.has(Attribute::ConstraintTrigger) { "constraint trigger" } else { "trigger" };
        let bare = format!(" ON {} ", ident(of));
        let definition = definition.replacen(&bare, &format!(" ON {table} "), 1);
        out.add(Phase::Trigger, format!("create {kind} {name} {definition}"));
    }
    out.comment_of(object, Attribute::Comment, Phase::Enabled, &target);
    if let Some(words) = enabled(object) {
        // The partitions' own settings come afterwards.
        let phase = match is_partitioned(model, of) && object.get(Attribute::Definition).is_some() {
            true => Phase::Trigger,
            false => Phase::Enabled,
        };
        let sql = enable_key_trigger(key, object, words);
        let sql = sql.unwrap_or_else(|| format!("alter table {table} {words} trigger {name}"));
        out.add(phase, sql);
    }
    out.extensions(object, &target);
}

/// Returns the statement that enables or disables a trigger of a partition's foreign key, whose name contains an OID.
/// Here it is named after the key and the function.
pub(crate) fn enable_key_trigger(key: &ObjectKey, trigger: &Object, words: &str) -> Option<String> {
    let of_key = trigger.text(Attribute::KeyTrigger)?;
    let function = key.name.rsplit_once(": ").map_or(&*key.name, |(_, function)| function);
    let table = own(key.of.as_deref().unwrap_or_default());
    Some(format!(
        "do $$ begin execute (select pg_catalog.format('alter table %s {words} trigger %I', t.tgrelid::pg_catalog.regclass, t.tgname) \
         from pg_catalog.pg_trigger t join pg_catalog.pg_constraint k on k.oid operator(pg_catalog.=) t.tgconstraint \
         join pg_catalog.pg_proc f on f.oid operator(pg_catalog.=) t.tgfoid \
         where t.tgrelid operator(pg_catalog.=) {}::pg_catalog.regclass \
         and k.conname operator(pg_catalog.=) {} and f.proname operator(pg_catalog.=) {}); end $$",
        literal(&table),
        literal(&escape(of_key)),
        literal(&escape(function)),
    ))
}

pub(super) fn rule(key: &ObjectKey, object: &Object, out: &mut Script) {
    let (table, name) = (own(key.of.as_deref().unwrap_or_default()), ident(&key.name));
    let command = object.text(Attribute::Command).unwrap_or_default();
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    let definition = definition.trim().trim_end_matches(';');
    out.add(Phase::Rule, format!("create rule {name} as on {command} to {table} {definition}"));
    if let Some(words) = enabled(object) {
        out.add(Phase::Enabled, format!("alter table {table} {words} rule {name}"));
    }
    out.comment_of(object, Attribute::Comment, Phase::Rule, &format!("rule {name} on {table}"));
}

pub(super) fn policy(key: &ObjectKey, object: &Object, out: &mut Script) {
    let (table, name) = (own(key.of.as_deref().unwrap_or_default()), ident(&key.name));
    let mut sql = format!("create policy {name} on {table}");
    if object.has(Attribute::Restrictive) {
        sql.push_str(" as restrictive");
    }
    if let Some(command) = object.text(Attribute::Command) {
        sql.push_str(&format!(" for {command}"));
    }
    let roles = object.list(Attribute::Roles);
    if roles != ["public"] && !roles.is_empty() {
        sql.push_str(&format!(" to {}", roles.join(", ")));
    }
    for (attribute, words) in [(Attribute::Using, "using"), (Attribute::Check, "with check")] {
        if let Some(condition) = object.text(attribute) {
            sql.push_str(&format!(" {words} ({condition})"));
        }
    }
    out.add(Phase::Policy, sql);
    out.comment_of(object, Attribute::Comment, Phase::Policy, &format!("policy {name} on {table}"));
}

#[cfg(test)]
mod tests {
    use super::schemas_of_calls;

    #[test]
    fn schemas_of_called_functions_are_found() {
        for (text, schemas) in [
            ("USING btree (lower(a), (b + 1))", &[][..]),
            (
                "USING gist (ext.ll_to_earth(a, b), \"E \"\"1\".f(ext.g(c)))",
                &["ext", "\"E \"\"1\""],
            ),
            ("USING btree ({schema}.lower(a), a.b)", &[]),
        ] {
            assert_eq!(schemas_of_calls(text), schemas, "{text}");
        }
    }
}
