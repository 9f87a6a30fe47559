//! Warns where the name of the schema is stored as text, which renaming the tenant does not change.

use super::{
    Rule,
    context::{Context, Of},
    found::Found,
    piece::{Piece, Within},
    script::{Kind, Token},
    words::follows,
};

const PATH: &str = "this stores the schema's name in the function, and only Tenantry's renames update it: use \
                    begin atomic, or leave the search_path to the caller";
const VALUE: &str = "this stores the schema's name, which no rename updates: tenants cannot be created from \
                     spares, and a renamed tenant may refer to the next tenant with its old name; use begin \
                     atomic, or call current_schema() when the text is used";

/// The maximum number of positions checked per statement: one finding is enough for all.
const MOST: usize = 50;

/// Texts that store the name of a schema when they are executed.
const STORES: &[&str] = &["comment on", "default", "function", "procedure", "%l"];

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function looks names up when it is called. The shared schema keeps its name.
    if context.subject.of == Of::Shared || piece.within == Within::Routine {
        return;
    }
    let is_routine = piece
        .tokens
        .iter()
        .take(4)
        .any(|token| token.is_one_of(&["function", "procedure", "routine"]));
    if is_routine && let Some(at) = follows(piece.tokens, &["search_path", "from", "current"]) {
        found.add(piece.offset + piece.tokens[at].at, Rule::StoredName, PATH);
    }
    let is_name =
        |index: &usize| piece.tokens[*index].is_one_of(&["current_schema", "current_schemas"]);
    for index in (0..piece.tokens.len()).filter(is_name).take(MOST) {
        let begins = piece.tokens[..index].iter().rposition(|before| {
            before.kind == Kind::Semicolon || before.is_one_of(&["begin", "then", "else", "loop"])
        });
        let before = &piece.tokens[begins.map_or(0, |at| at + 1)..index];
        if is_stored(before) {
            found.add(piece.offset + piece.tokens[index].at, Rule::StoredName, VALUE);
        }
    }
}

/// Returns `true` if the name of the schema ends up in a row or in a definition, judging by the preceding part of its
/// statement.
fn is_stored(before: &[Token<'_>]) -> bool {
    let Some(first) = before.first() else { return false };
    let compares = || before.iter().any(|token| token.is_one_of(&["where", "on", "having"]));
    if first.is_one_of(&["insert", "update", "merge"]) {
        return !compares();
    }
    if first.is_one_of(&["create", "alter"]) {
        let named = before.iter().rev().find(|token| token.kind != Kind::Open);
        return named.is_some_and(|token| token.is("default"));
    }
    first.is("execute")
        && before.iter().any(|token| {
            let text = token.text.to_ascii_lowercase();
            matches!(token.kind, Kind::Text | Kind::Dollar)
                && STORES.iter().any(|word| text.contains(word))
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Lint, Subject, check};
    use super::*;

    fn warned(text: &str) -> usize {
        let subject = Subject { text, of: Of::Tenant, transactional: true, version: 1 };
        let found = check(&Lint::default(), &subject).list;
        found.iter().filter(|found| found.rule == Rule::StoredName).count()
    }

    #[test]
    fn what_stores_the_name_is_warned_of() {
        for text in [
            "create function f() returns int language sql set search_path from current as 'select 1'",
            "alter function f() set search_path from current",
            "insert into t values (current_schema())",
            "insert into t select current_schema from u",
            "update t set a = current_schema()",
            "create table t (a text default current_schema())",
            "alter table t alter a set default (current_schema())",
            "do $$ begin insert into t values (current_schema()); end $$",
            "do $$ begin execute format('create function f() returns int language sql as
                 ''select a from %I.t''', current_schema()); end $$",
            "do $$ begin if true then execute format('comment on table t is %L', current_schema()); end if; end $$",
        ] {
            assert_eq!(warned(text), 1, "{text}");
        }
    }

    #[test]
    fn what_looks_the_name_up_when_it_is_used_is_not() {
        for text in [
            "create function f() returns text language sql as 'select current_schema()'",
            "create function f() returns void language plpgsql as
                 $$ begin execute format('delete from %I.t', current_schema()); end $$",
            "create view v as select current_schema() as s",
            "create policy p on t using (s = current_schema())",
            "insert into t select 1 where current_schema() = 'x'",
            "do $$ begin if exists (select from information_schema.tables
                 where table_schema = current_schema()) then drop table t; end if; end $$",
            "do $$ begin execute format('alter table %I.t add a int', current_schema()); end $$",
            "select current_schema()",
        ] {
            assert_eq!(warned(text), 0, "{text}");
        }
    }
}
