//! Statements that change the role of the statements after them.

use super::{
    Rule,
    context::{Context, Of},
    found::Found,
    piece::{Piece, Within},
    script::{Kind, Token},
    set_config::set_configs,
    words::beginnings,
};

const LASTING: &str = "the role stays changed: it owns everything created from here on, writes the file's \
                       record, and runs the following files on this connection: connect as that role \
                       (ManagerBuilder::upkeep_credentials), or use set local role, and set local role none at the \
                       end of the file";
const LOCAL: &str = "the role is changed from here on: it owns everything created, and writes the file's record \
                     in the same transaction: add set local role none at the end of the file, or connect as \
                     that role \
                     (ManagerBuilder::upkeep_credentials)";

/// The duration of a role change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Until the session ends.
    Lasting,
    /// Until the transaction ends, or back to the session's initial role.
    Local,
}

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function of the shared schema runs only when called.
    if context.subject.of == Of::Shared && piece.within == Within::Routine {
        return;
    }
    let mut add = |at: usize, change| match change {
        Change::Lasting => found.add(piece.offset + at, Rule::SessionRole, LASTING),
        Change::Local => found.add(piece.offset + at, Rule::LocalRole, LOCAL),
    };
    for statement in beginnings(piece.tokens) {
        if let Some(change) = change(statement) {
            add(statement[0].at, change);
        }
    }
    for set in set_configs(piece.tokens) {
        if matches!(&*set.setting, "role" | "session_authorization") {
            add(set.at, if set.is_local { Change::Local } else { Change::Lasting });
        }
    }
}

/// Reads `set [session | local] role …` and `set [session | local] session authorization …`, and their `reset`.
fn change(statement: &[Token<'_>]) -> Option<Change> {
    let (first, rest) = statement.split_first()?;
    if first.is("reset") {
        return value_of_role(rest).map(|_| Change::Local);
    }
    if !first.is("set") {
        return None;
    }
    let (scope, setting) = rest.split_first()?;
    let value = match scope.is_one_of(&["session", "local"]) {
        true => value_of_role(setting).or_else(|| value_of_role(rest)),
        false => value_of_role(rest),
    }?;
    match scope.is("local") {
        // This ends such a change.
        true if value.first().is_some_and(|value| value.is_one_of(&["none", "default"])) => None,
        true => Some(Change::Local),
        false => Some(Change::Lasting),
    }
}

/// Returns the tokens after the setting of the session's role.
fn value_of_role<'t, 'a>(setting: &'t [Token<'a>]) -> Option<&'t [Token<'a>]> {
    let (first, rest) = setting.split_first()?;
    let rest = match rest.split_first() {
        Some((second, rest)) if first.is("session") && second.is("authorization") => rest,
        _ if first.is_name() && matches!(&*first.name(), "role" | "session_authorization") => rest,
        _ => return None,
    };
    match rest.split_first() {
        // A setting of an extension: `role.x`.
        Some((dot, _)) if dot.kind == Kind::Dot => None,
        Some((to, rest)) if to.is("to") || to.text == "=" => Some(rest),
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lint, Subject, check};
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        let subject = Subject { text, of: Of::Tenant, transactional: true, version: 1 };
        check(&Lint::default(), &subject).list.into_iter().map(|found| found.rule).collect()
    }

    #[test]
    fn what_changes_the_role_is_found() {
        for text in [
            "set role x",
            "SET ROLE \"X\"",
            "set session role x",
            "set role to x",
            "set role = x",
            "set role none",
            "set \"role\" to x",
            "set session authorization x",
            "set session session authorization default",
            "set session_authorization = 'x'",
            "select set_config('role', 'x', false)",
            "select pg_catalog.set_config(E'ROLE', 'x', is_local => false)",
            "do $$ begin set role x; end $$",
            "do $$ begin if true then set session authorization x; end if; end $$",
            "do $$ begin execute 'set role x'; end $$",
            "do $$ begin perform set_config('role', 'x', false); end $$",
            "create function f() returns void language plpgsql as $$ begin set role x; end $$",
            "create function f() returns void language sql as 'set role x'",
        ] {
            assert_eq!(rules(text), [Rule::SessionRole], "{text}");
            assert!(!Rule::SessionRole.is_warning());
            assert_eq!(rules(&format!("-- tenantry: allow(session_role)\n{text}")), [], "{text}");
        }
        for text in [
            "set local role x",
            "set local role to x",
            "set local session authorization x",
            "reset role",
            "reset session authorization",
            "reset session_authorization",
            "select set_config('role', 'x', true)",
            "do $$ begin set local role x; end $$",
            "create function f() returns void language plpgsql as $$ begin reset role; end $$",
        ] {
            assert_eq!(rules(text), [Rule::LocalRole], "{text}");
            assert!(Rule::LocalRole.is_warning());
        }
    }

    #[test]
    fn what_does_not_change_the_role_is_not() {
        for text in [
            "set local role none",
            "set local session authorization default",
            "set role.x = 1",
            "update users set role = 'x'",
            "create table role (role text, session_authorization text)",
            "insert into users (role) values ('x') on conflict (id) do update set role = excluded.role",
            "select set_config('app.role', 'x', false), current_setting('role')",
            "create function f() returns int language sql set role = 'x' as 'select 1'",
            "set session characteristics as transaction read write",
            "alter role x set statement_timeout = 1",
            "do $$ declare role text; begin role := 'x'; end $$",
        ] {
            let mut found = rules(text);
            found.retain(|rule| matches!(rule, Rule::SessionRole | Rule::LocalRole));
            assert_eq!(found, [], "{text}");
        }
        let text = "create function f() returns void language sql as 'set role x'; set role x";
        let subject = Subject { text, of: Of::Shared, transactional: true, version: 1 };
        assert_eq!(check(&Lint::default(), &subject).list.len(), 1);
    }
}
