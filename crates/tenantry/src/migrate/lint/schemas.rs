//! Schema-qualified names, in files that belong to one schema.

use super::{
    Rule,
    context::{Context, Of},
    found::Found,
    literal,
    name::name_of,
    named_in_text::{self, Names},
    piece::{Piece, Within},
    schema_name::Named,
    syntax::SyntaxKind as S,
    tree::{Node, Tree},
    unparsed,
};

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    if context.subject.of == Of::Shared {
        return;
    }
    let named = match &piece.tree {
        Some(tree) => tree.nodes().flat_map(|node| named_by(node, piece)).collect(),
        None => unparsed::named(piece),
    };
    for Named { at, schema, defines } in named {
        let lint = context.lint;
        if lint.allows(&schema) || (!defines && lint.is_of_extensions(&schema)) {
            continue;
        }
        let message = format!(
            "names the schema {schema:?}, which would be the same for every tenant: remove it, or allow it \
             with Lint::allow_schema"
        );
        found.add(piece.offset + at, Rule::ForeignSchema, message);
    }
    if let Some(tree) = &piece.tree {
        check_settings(context, piece, tree, found);
    }
}

/// Returns the schemas that a node names.
fn named_by(node: Node<'_, '_>, piece: &Piece<'_>) -> Vec<Named> {
    match node.kind() {
        S::LITERAL => of_text(node).unwrap_or_default(),
        _ => of_name(node, piece).into_iter().collect(),
    }
}

fn of_name(node: Node<'_, '_>, piece: &Piece<'_>) -> Option<Named> {
    match node.kind() {
        S::PATH | S::PATH_REF => of_path(node),
        S::FIELD_EXPR => of_fields(node, piece),
        S::SCHEMA_REF => {
            // Names on another server, and the target schema of extensions, do not count.
            let elsewhere = match node.parent()?.kind() {
                S::IMPORT_FOREIGN_SCHEMA | S::EXTENSION_SCHEMA => true,
                S::SET_SCHEMA => node.parent()?.parent()?.is(S::ALTER_EXTENSION),
                _ => false,
            };
            (!elsewhere).then(|| Named { defines: true, ..Named::new(node.at(), node.name()) })
        }
        S::SCHEMA => Some(Named { defines: true, ..Named::new(node.at(), node.name()) }),
        S::ROLE if node.parent()?.is(S::AUTHORIZATION_SCHEMA) => {
            Some(Named { defines: true, ..Named::new(node.at(), node.name()) })
        }
        _ => None,
    }
}

/// Checks a dotted name where only names can occur.
fn of_path(node: Node<'_, '_>) -> Option<Named> {
    let parent = node.parent()?.kind();
    // A nested path is part of the outer one, and settings contain dots, too.
    if matches!(parent, S::PATH | S::PATH_REF | S::CONFIG_PARAMETER_REF | S::PLPGSQL_ALIAS_TARGET) {
        return None;
    }
    let segments: Vec<_> = node.descendants().filter(|part| is_segment(part.kind())).collect();
    let after = match parent {
        S::QUALIFIED_COLUMN_NAME_REF | S::PERCENT_TYPE => 2,
        _ => 1,
    };
    let schema = segments.get(segments.len().checked_sub(after + 1)?)?;
    let defines = node.is(S::PATH);
    Some(Named { defines, ..Named::new(schema.at(), schema.name()) })
}

fn is_segment(kind: S) -> bool {
    matches!(kind, S::PATH_SEGMENT | S::PATH_SEGMENT_REF)
}

/// Checks dotted names in an expression: a function call, or a column of a qualified table.
fn of_fields(node: Node<'_, '_>, piece: &Piece<'_>) -> Option<Named> {
    let parent = node.parent()?;
    if parent.is(S::FIELD_EXPR) {
        return None;
    }
    let names = names_of_fields(node)?;
    let is_called = parent.is(S::CALL_EXPR)
        && parent.children().next().is_some_and(|callee| callee.at() == node.at());
    // The database can precede the schema.
    let after = if is_called { 1 } else { 2 };
    let schema = names.get(names.len().checked_sub(after + 1)?)?;
    // Three names in the body of a routine can be a variable and its fields.
    let is_variable =
        !is_called && piece.within != Within::File && piece.around.contains(&names[0].name());
    (!is_variable).then(|| Named::new(schema.at(), schema.name()))
}

/// Returns the names between the dots of an expression; `None` if it starts with something else.
fn names_of_fields<'t, 'a>(fields: Node<'t, 'a>) -> Option<Vec<Node<'t, 'a>>> {
    let (mut names, mut part) = (Vec::new(), fields);
    // Everything before the last part is the first child.
    while part.is(S::FIELD_EXPR) {
        names.push(part.children().last()?);
        part = part.children().next()?;
    }
    names.push(part);
    names.reverse();
    part.is(S::NAME_REF).then_some(names)
}

/// Checks a text that names an object: `nextval('s.x')`, `'s.x'::regclass`.
fn of_text(node: Node<'_, '_>) -> Option<Vec<Named>> {
    let mut outer = node.parent()?;
    let names = loop {
        match outer.kind() {
            S::CAST_EXPR => {
                if let Some(names) = type_of(outer).and_then(|name| named_in_text::of_type(&name)) {
                    break names;
                }
            }
            S::PAREN_EXPR | S::ARRAY_EXPR | S::NAMED_ARG => {}
            S::ARG => break of_argument(outer)?,
            _ => return None,
        }
        outer = outer.parent()?;
    };
    let schemas = named_in_text::schemas(names, node.text()).into_iter();
    Some(schemas.map(|schema| Named::new(node.at(), schema)).collect())
}

/// Returns what an argument names, according to its function.
fn of_argument(argument: Node<'_, '_>) -> Option<Names> {
    let list = argument.parent()?;
    let call = list.parent().filter(|call| call.is(S::CALL_EXPR))?;
    let function = call.children().next()?.text().rsplit('.').next()?;
    let arguments = || list.children().filter(|child| child.is(S::ARG));
    let before = arguments().take_while(|other| other.at() < argument.at()).count();
    named_in_text::of_argument(&name_of(function.trim()), before, arguments().count())
}

/// Returns the name of the type that a cast converts to, or of its elements.
fn type_of(cast: Node<'_, '_>) -> Option<String> {
    let array = cast.child(S::ARRAY_TYPE);
    let path = array.unwrap_or(cast).child(S::PATH_TYPE)?;
    let last = path.descendants().filter(|part| is_segment(part.kind())).last()?;
    Some(last.name())
}

/// Checks the search path that a routine sets for itself.
fn check_settings(
    context: &Context<'_>,
    piece: &Piece<'_>,
    tree: &Tree<'_>,
    found: &mut Found<'_>,
) {
    let lint = context.lint;
    for (at, schema) in tree.nodes().flat_map(search_path_of) {
        if !schema.is_empty() && !lint.allows(&schema) && !lint.is_of_extensions(&schema) {
            let message = format!(
                "the function resolves names in the schema {schema:?}, which would be the same for every \
                 tenant: remove it, or allow it with Lint::allow_schema"
            );
            found.add(piece.offset + at, Rule::ForeignSchema, message);
        }
    }
}

/// Returns the schemas of the search path that an option of a routine sets, with their positions.
fn search_path_of(option: Node<'_, '_>) -> Vec<(usize, String)> {
    let setting = option.descendants().find(|node| node.is(S::CONFIG_PARAMETER_REF));
    let is_search_path = setting.is_some_and(|setting| setting.name() == "search_path");
    if !option.is(S::SET_FUNC_OPTION) || !is_search_path {
        return Vec::new();
    }
    let schemas = option.descendants().filter_map(|value| match value.kind() {
        S::CONFIG_VALUE_NAME => Some((value.at(), value.name())),
        S::LITERAL => Some((value.at(), literal::content(value.text()).unwrap_or_default())),
        _ => None,
    });
    schemas.collect()
}
