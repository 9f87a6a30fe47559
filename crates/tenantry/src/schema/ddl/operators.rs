//! Operators with their classes and families, collations, conversions, and the objects of text search.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    ident, literal, own,
    quoting::{escape, without_arguments},
    script::{Phase, Script},
};

pub(super) fn operator(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = operator_name(&key.name);
    let arguments = key.arguments.as_deref().unwrap_or_default();
    let (left, right) = arguments.rsplit_once(", ").unwrap_or(("NONE", arguments));
    let function = |attribute| object.text(attribute).map(without_arguments).map(str::to_owned);
    let other = |attribute| Some(format!("operator({})", function(attribute)?));
    let argument = |name: &str| (name != "NONE").then(|| name.to_owned());
    let options = [
        ("function", function(Attribute::Function)),
        ("leftarg", argument(left)),
        ("rightarg", argument(right)),
        ("commutator", other(Attribute::Commutator)),
        ("negator", other(Attribute::Negator)),
        ("restrict", function(Attribute::Restrict)),
        ("join", function(Attribute::Join)),
    ];
    let options =
        options.into_iter().filter_map(|(word, value)| Some(format!("{word} = {}", value?)));
    let flags = [(Attribute::Hashes, "hashes"), (Attribute::Merges, "merges")];
    let flags = flags.into_iter().filter(|(attribute, _)| object.has(*attribute));
    let options: Vec<_> = options.chain(flags.map(|(_, word)| word.to_owned())).collect();
    out.add(Phase::Create, format!("create operator {name} ({})", options.join(", ")));
    out.common(model, object, &format!("operator {name} ({arguments})"), None);
}

fn operator_name(name: &str) -> String {
    format!("{{schema}}.{name}")
}

pub(super) fn family(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let target = target(key);
    out.add(Phase::Create, format!("create {target}"));
    // An operator that orders by this family depends on it, and is in another.
    let method = key.of.as_deref().unwrap_or_default();
    let own_family = format!(" for order by {}.", ident(&model.schema));
    let members = object.list(Attribute::Members).iter();
    let members = members.filter(|member| method != "btree" || !member.contains(" for order by "));
    let members = members
        .map(|member| member.replace(&own_family, " for order by {schema}."))
        .collect::<Vec<_>>();
    if !members.is_empty() {
        // Its classes come first.
        out.add(Phase::Member, format!("alter {target} add {}", members.join(", ")));
    }
    out.common(model, object, &target, None);
}

pub(super) fn class(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let text = |attribute| object.text(attribute).unwrap_or_default();
    let default = if object.has(Attribute::IsDefault) { " default" } else { "" };
    let mut members = object.list(Attribute::Members).to_vec();
    if let Some(storage) = object.text(Attribute::Storage) {
        members.push(format!("storage {storage}"));
    }
    if members.is_empty() {
        members.push(format!("storage {}", text(Attribute::Type)));
    }
    let statement = format!(
        "create operator class {}{default} for type {} using {} family {} as\n    {}",
        own(&key.name),
        text(Attribute::Type),
        ident(key.of.as_deref().unwrap_or_default()),
        text(Attribute::Family),
        members.join(",\n    "),
    );
    out.add(Phase::Create, statement);
    out.common(model, object, &target(key), None);
}

/// Returns the kind and name of an operator class or family.
fn target(key: &ObjectKey) -> String {
    let method = ident(key.of.as_deref().unwrap_or_default());
    format!("{} {} using {method}", key.kind, own(&key.name))
}

pub(super) fn collation(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let mut options = object.list(Attribute::CollationParameters).to_vec();
    for (attribute, word) in [(Attribute::Locale, "locale"), (Attribute::Rules, "rules")] {
        if let Some(value) = object.text(attribute) {
            options.push(format!("{word} = {}", literal(&escape(value))));
        }
    }
    let target = format!("collation {}", own(&key.name));
    out.add(Phase::Create, format!("create {target} ({})", options.join(", ")));
    out.common(model, object, &target, None);
}

pub(super) fn conversion(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let default = if object.has(Attribute::IsDefault) { "default " } else { "" };
    let encodings: Vec<_> = object.list(Attribute::Encodings).iter().map(|e| literal(e)).collect();
    let function = without_arguments(object.text(Attribute::Function).unwrap_or_default());
    let encodings = encodings.join(" to ");
    let statement = format!("create {default}conversion {name} for {encodings} from {function}");
    out.add(Phase::Create, statement);
    out.common(model, object, &format!("conversion {name}"), None);
}

pub(super) fn text_search(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let target = format!("{} {}", key.kind, own(&key.name));
    let mut options: Vec<String> = Vec::new();
    let option = |word: &str, attribute| Some(format!("{word} = {}", object.text(attribute)?));
    options.extend(option("template", Attribute::Template));
    options.extend(option("parser", Attribute::Parser));
    if key.kind == ObjectKind::TextSearchDictionary {
        options.extend(object.text(Attribute::Options).map(str::to_owned));
    }
    options.extend(object.list(Attribute::Functions).iter().map(|function| {
        let (word, function) = function.split_once(" = ").unwrap_or((function, ""));
        format!("{word} = {}", without_arguments(function))
    }));
    out.add(Phase::Create, format!("create {target} ({})", options.join(", ")));
    for mapping in object.list(Attribute::Mappings) {
        out.add(Phase::Create, format!("alter {target} add mapping for {mapping}"));
    }
    out.common(model, object, &target, None);
}
