//! Extensions, of which a database has one each.

use super::{
    Rule,
    found::Found,
    piece::Piece,
    rules::{Context, Of},
    script::{Kind, Token},
    words::{beginnings, starts},
};

/// Extensions that say themselves which schema they are in.
const WITH_A_SCHEMA: &[&str] = &[
    "adminpack",
    "pg_cron",
    "pglogical",
    "plperl",
    "plperlu",
    "plpgsql",
    "plpython3u",
    "pltcl",
    "pltclu",
    "postgis_tiger_geocoder",
    "postgis_topology",
];

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    if context.subject.of == Of::Shared {
        return;
    }
    for statement in beginnings(piece.tokens) {
        let Some(name) = created(statement) else { continue };
        if WITH_A_SCHEMA.contains(&name.as_str()) {
            continue;
        }
        let end = statement.iter().position(|token| token.kind == Kind::Semicolon);
        let statement = &statement[..end.unwrap_or(statement.len())];
        let at = piece.offset + statement[0].at;
        if statement.iter().any(|token| token.is("schema")) {
            let message = format!(
                "the extension {name} is the same one for all tenants, and several of them are migrated at \
                 a time: create it in the shared schema's migrations"
            );
            found.add(at, Rule::ExtensionInTenant, message);
        } else {
            let message = format!(
                "create extension without a schema puts {name} into that of the first tenant: create it in \
                 the shared schema's migrations, with schema …"
            );
            found.add(at, Rule::ExtensionWithoutSchema, message);
        }
    }
}

/// Returns the extension that a statement creates.
fn created(statement: &[Token<'_>]) -> Option<String> {
    if !starts(statement, &["create", "extension"]) {
        return None;
    }
    let exists = starts(&statement[2..], &["if", "not", "exists"]);
    let name = statement.get(if exists { 5 } else { 2 })?;
    Some(name.name())
}
