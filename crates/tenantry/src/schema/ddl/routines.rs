//! Functions, procedures and aggregates.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    ident, literal, own,
    quoting::{dollar_quoted, escape, without_arguments},
    script::{Phase, Script},
};

pub(super) fn routine(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let (kind, name) = (key.kind, own(&key.name));
    let arguments = object.text(Attribute::Arguments).unwrap_or_default();
    let mut lines = vec![format!("create {kind} {name}({arguments})")];
    lines.extend(object.text(Attribute::Returns).map(|returns| format!("returns {returns}")));
    lines.extend(properties(object));
    lines.push(body(object));
    out.add(Phase::Create, lines.join("\n"));
    let target = match kind == ObjectKind::Procedure && arguments.contains("OUT ") {
        // Routines that differ in the type that they return are distinguished only by that.
        true => format!("{kind} {name}({})", without_defaults(arguments)),
        false => target(key),
    };
    out.common(model, object, &target, Some(&target));
    out.extensions(object, &target);
}

/// Returns the clauses between the result and the body.
fn properties(object: &Object) -> Vec<String> {
    let text = |attribute| object.text(attribute);
    let mut lines = vec![format!("language {}", ident(text(Attribute::Language).unwrap_or("sql")))];
    let types = object.list(Attribute::Transforms).iter();
    let types: Vec<_> = types.map(|name| format!("for type {name}")).collect();
    if !types.is_empty() {
        lines.push(format!("transform {}", types.join(", ")));
    }
    for (attribute, words) in [
        (Attribute::Window, "window"),
        (Attribute::Strict, "strict"),
        (Attribute::LeakProof, "leakproof"),
        (Attribute::SecurityDefiner, "security definer"),
    ] {
        lines.extend(object.has(attribute).then(|| words.to_owned()));
    }
    lines.extend(text(Attribute::Volatility).map(str::to_owned));
    for (attribute, word) in
        [(Attribute::Parallel, "parallel"), (Attribute::Cost, "cost"), (Attribute::Rows, "rows")]
    {
        lines.extend(text(attribute).map(|value| format!("{word} {value}")));
    }
    let support = text(Attribute::Support).map(without_arguments);
    lines.extend(support.map(|support| format!("support {support}")));
    lines.extend(object.list(Attribute::Settings).iter().map(|setting| set(setting)));
    lines
}

fn body(object: &Object) -> String {
    let body = object.text(Attribute::Body).unwrap_or_default();
    match (object.has(Attribute::SqlBody), object.text(Attribute::ObjectFile)) {
        (true, _) => body.to_owned(),
        (false, Some(file)) => format!("as {}, {}", literal(&escape(file)), literal(body)),
        (false, None) => format!("as {}", dollar_quoted(body)),
    }
}

/// Returns the arguments of a routine without their defaults.
fn without_defaults(arguments: &str) -> String {
    let (mut depth, mut in_quotes, mut parts, mut start) = (0, false, Vec::new(), 0);
    for (at, character) in arguments.char_indices() {
        match character {
            '\'' | '"' => in_quotes = !in_quotes,
            '(' | '[' if !in_quotes => depth += 1,
            ')' | ']' if !in_quotes => depth -= 1,
            ',' if !in_quotes && depth == 0 => {
                parts.push(&arguments[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[start..]);
    let parts = parts.into_iter().map(|part| part.split(" DEFAULT ").next().unwrap_or(part).trim());
    parts.collect::<Vec<_>>().join(", ")
}

/// Returns the kind, name and arguments of a routine for `alter`.
fn target(key: &ObjectKey) -> String {
    let arguments = match key.arguments.as_deref().unwrap_or_default() {
        "" if key.kind == ObjectKind::Aggregate => "*",
        arguments => arguments,
    };
    format!("{} {}({arguments})", key.kind, own(&key.name))
}

/// Settings that are lists of names.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Returns the `set` clause of a setting, from `name=value`.
fn set(setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    let printed = match LISTS.contains(&name.to_lowercase().as_str()) {
        true => names(value).join(", "),
        false => literal(value),
    };
    let name: Vec<String> = name.split('.').map(ident).collect();
    format!("set {} to {printed}", name.join("."))
}

/// Splits a list of names, each as a constant; the schema stays a placeholder.
fn names(list: &str) -> Vec<String> {
    let mut in_quotes = false;
    let names = list.split(|character| {
        in_quotes ^= character == '"';
        character == ',' && !in_quotes
    });
    let name = |name: &str| match name.trim() {
        "{schema}" => "{schema}".to_owned(),
        name => match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => literal(&quoted.replace("\"\"", "\"")),
            None => literal(name),
        },
    };
    names.map(name).collect()
}

pub(super) fn aggregate(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let text = |attribute| object.text(attribute);
    let function = |attribute| text(attribute).map(without_arguments);
    let mut options: Vec<String> = Vec::new();
    let mut option = |word: &str, value: Option<&str>| {
        options.extend(value.map(|value| format!("{word} = {value}")));
    };
    option("sfunc", function(Attribute::Transition));
    option("stype", text(Attribute::State));
    option("sspace", text(Attribute::StateSpace));
    final_function(("finalfunc", text(Attribute::Final)), &mut option);
    option("combinefunc", function(Attribute::Combine));
    option("serialfunc", function(Attribute::Serial));
    option("deserialfunc", function(Attribute::Deserial));
    option("initcond", text(Attribute::InitialState).map(literal).as_deref());
    option("msfunc", function(Attribute::MovingTransition));
    option("minvfunc", function(Attribute::MovingInverse));
    option("mstype", text(Attribute::MovingState));
    option("msspace", text(Attribute::MovingStateSpace));
    final_function(("mfinalfunc", text(Attribute::MovingFinal)), &mut option);
    option("minitcond", text(Attribute::MovingInitialState).map(literal).as_deref());
    let sort = function(Attribute::SortOperator).map(|name| format!("operator({name})"));
    option("sortop", sort.as_deref());
    option("parallel", text(Attribute::Parallel));
    if text(Attribute::AggregateKind) == Some("hypothetical-set") {
        options.push("hypothetical".to_owned());
    }
    let arguments = match text(Attribute::Arguments) {
        None | Some("") => "*",
        Some(arguments) => arguments,
    };
    let (name, options) = (own(&key.name), options.join(",\n    "));
    out.add(Phase::Create, format!("create aggregate {name}({arguments}) (\n    {options}\n)"));
    let target = target(key);
    let granted = target.replacen("aggregate ", "function ", 1).replacen("(*)", "()", 1);
    out.common(model, object, &target, Some(&granted));
}

/// Adds a final function, from `f(integer) extra read only`.
fn final_function(
    (word, value): (&str, Option<&str>),
    option: &mut impl FnMut(&str, Option<&str>),
) {
    let Some(value) = value else { return };
    let (value, modify) = [" read only", " shareable", " read write"]
        .into_iter()
        .find_map(|end| Some((value.strip_suffix(end)?, end.trim_start())))
        .unwrap_or((value, "read only"));
    option(word, Some(without_arguments(value)));
    if value.ends_with(" extra") {
        option(&format!("{word}_extra"), Some("true"));
    }
    option(&format!("{word}_modify"), Some(&modify.replace(' ', "_")));
}
