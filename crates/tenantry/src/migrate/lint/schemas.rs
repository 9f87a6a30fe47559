//! Schema-qualified names, in files that belong to one schema.

use super::{
    Rule,
    found::Found,
    literal,
    named_in_text::{self, Names},
    parse::SyntaxKind as S,
    piece::{Piece, Within},
    rules::{Context, Of},
    tree::{Node, Tree, name_of},
    unparsed,
};

/// A schema that is named.
pub(super) struct Named {
    pub(super) at: usize,
    pub(super) schema: String,
    /// Whether something is made in it.
    pub(super) defines: bool,
}

impl Named {
    pub(super) fn new(at: usize, schema: String) -> Self {
        Self { at, schema, defines: false }
    }
}

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
            "names the schema {schema:?}, which is the same one for every tenant: leave it out, or allow it \
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
    // Everything before the last part is the first child.
    let (mut names, mut part) = (1_usize, node);
    let first = loop {
        let inner = part.children().next()?;
        match inner.kind() {
            S::FIELD_EXPR => (names, part) = (names + 1, inner),
            S::NAME_REF => break inner,
            _ => return None,
        }
    };
    names += 1;
    let is_called = parent.is(S::CALL_EXPR)
        && parent.children().next().is_some_and(|callee| callee.at() == node.at());
    let after = if is_called { 1 } else { 2 };
    let schema = names.checked_sub(after + 1)?;
    // Three names in the body of a routine can be a variable and its fields.
    let is_variable =
        !is_called && piece.within != Within::File && piece.around.contains(&first.name());
    if is_variable {
        return None;
    }
    // The database can precede the schema.
    let mut part = node;
    for _ in 0..names - 1 - schema {
        part = part.children().next()?;
    }
    let schema = if schema == 0 { first } else { part.children().last()? };
    Some(Named::new(schema.at(), schema.name()))
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
    for option in tree.nodes().filter(|node| node.is(S::SET_FUNC_OPTION)) {
        let setting = option.descendants().find(|node| node.is(S::CONFIG_PARAMETER_REF));
        if setting.is_none_or(|setting| setting.name() != "search_path") {
            continue;
        }
        let values = option
            .descendants()
            .filter(|node| matches!(node.kind(), S::CONFIG_VALUE_NAME | S::LITERAL));
        for value in values {
            let schema = match value.kind() {
                S::LITERAL => literal::content(value.text()).unwrap_or_default(),
                _ => value.name(),
            };
            let lint = context.lint;
            if !schema.is_empty() && !lint.allows(&schema) && !lint.is_of_extensions(&schema) {
                let message = format!(
                    "the function looks names up in the schema {schema:?}, which is the same one for every \
                     tenant: leave it out, or allow it with Lint::allow_schema"
                );
                found.add(piece.offset + value.at(), Rule::ForeignSchema, message);
            }
        }
    }
}
