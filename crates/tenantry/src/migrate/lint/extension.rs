//! Extensions, which exist once per database.

use super::{
    Rule,
    context::{Context, Of},
    found::Found,
    piece::Piece,
    script::{Kind, Token},
    words::{beginnings, starts},
};

/// Extensions that determine their own schema.
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
        let Some(name) = named(statement) else { continue };
        if WITH_A_SCHEMA.contains(&name.as_str()) {
            continue;
        }
        let end = statement.iter().position(|token| token.kind == Kind::Semicolon);
        let statement = &statement[..end.unwrap_or(statement.len())];
        let at = piece.offset + statement[0].at;
        if statement[0].is("create") && !statement.iter().any(|token| token.is("schema")) {
            let message = format!(
                "create extension without a schema puts {name} into the schema of the first tenant: create it \
                 in the shared schema's migrations, with schema …"
            );
            found.add(at, Rule::ExtensionWithoutSchema, message);
        } else {
            let message = format!(
                "the extension {name} is shared by all tenants, and tenants are migrated in parallel: move this \
                 to the shared schema's migrations"
            );
            found.add(at, Rule::ExtensionInTenant, message);
        }
    }
}

/// Returns the extension that a statement is about.
fn named(statement: &[Token<'_>]) -> Option<String> {
    let is_about = ["create", "alter", "drop"];
    let is_about = is_about.iter().any(|word| starts(statement, &[word, "extension"]));
    let rest = statement.get(2..).filter(|_| is_about)?;
    let name = rest.iter().find(|token| !token.is_one_of(&["if", "not", "exists"]))?;
    Some(name.name())
}
