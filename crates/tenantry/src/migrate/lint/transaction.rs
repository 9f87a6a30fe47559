//! Transaction control, and statements that cannot run in a transaction.

use std::ops::Range;

use super::{
    Rule,
    context::Subject,
    found::Found,
    script::{Kind, Script, Token},
    words::{follows, starts},
};

/// Checks a statement of a file for both.
///
/// In a skipped file, `begin` is allowed: the server is in a transaction already, and only warns.
pub(super) fn check(
    subject: &Subject<'_>,
    statement: &[Token<'_>],
    skipped: bool,
    found: &mut Found<'_>,
) {
    let at = statement[0].at;
    let harmless = skipped && subject.transactional && begins(statement);
    if controls_transaction(statement) && !harmless {
        let what = statement[0].text.to_ascii_lowercase();
        let why = match subject.transactional {
            true => "the file is in a transaction with its record",
            false => "the statements of the file are sent one by one",
        };
        found.add(at, Rule::TransactionControl, format!("{what}: {why}; remove it"));
    }
    if subject.transactional && must_be_alone(statement) {
        let message = "this cannot run in a transaction: put it into a separate file that starts with -- \
                       no-transaction";
        found.add(at, Rule::NotInTransaction, message);
    }
}

/// Returns the part of a file that is run: the text between `begin` and `commit` if they enclose all of it, as is
/// usual in files for `psql`. The file runs in a transaction anyway, so the pair is not needed.
pub(crate) fn within_pair(text: &str) -> Option<Range<usize>> {
    let script = Script::new(text);
    let statements = script.statements();
    let [first, within @ .., last] = statements.as_slice() else { return None };
    let is_pair = begins(first) && commits(last);
    let others = within.iter().any(|statement| controls_transaction(statement));
    if !is_pair || others || !script.unterminated.is_empty() {
        return None;
    }
    // The semicolon after `begin` is excluded, too.
    let after = first.last()?.end();
    let semicolon = |token: &&Token<'_>| token.kind == Kind::Semicolon && token.at >= after;
    let begin = script.tokens.iter().find(semicolon)?;
    Some(begin.end()..last[0].at)
}

/// Returns `true` if a statement starts an ordinary transaction; one with an isolation level does not count.
fn begins(statement: &[Token<'_>]) -> bool {
    let rest = match statement {
        [first, second, rest @ ..]
            if first.is("start") && second.is("transaction")
                || first.is("begin") && second.is_one_of(&["work", "transaction"]) =>
        {
            rest
        }
        [first, rest @ ..] if first.is("begin") => rest,
        _ => return false,
    };
    rest.is_empty() || (rest.len() == 2 && starts(rest, &["read", "write"]))
}

fn commits(statement: &[Token<'_>]) -> bool {
    match statement {
        [first] => first.is_one_of(&["commit", "end"]),
        [first, second] => {
            first.is_one_of(&["commit", "end"]) && second.is_one_of(&["work", "transaction"])
        }
        _ => false,
    }
}

fn controls_transaction(statement: &[Token<'_>]) -> bool {
    let second = |keywords: &[&str]| statement.get(1).is_some_and(|word| word.is_one_of(keywords));
    let first = &statement[0];
    // `rollback to` a savepoint stays in the transaction.
    let to_savepoint = first.is("rollback") && statement.iter().take(4).any(|word| word.is("to"));
    first.is_one_of(&["begin", "commit", "end", "abort"])
        || (first.is("rollback") && !to_savepoint)
        || (first.is_one_of(&["start", "prepare", "set"]) && second(&["transaction"]))
        || starts(statement, &["set", "session", "characteristics"])
        || starts(statement, &["set", "local", "transaction"])
}

/// Returns `true` if the server refuses the statement in a transaction; see the documentation of these commands.
fn must_be_alone(statement: &[Token<'_>]) -> bool {
    let first = &statement[0];
    let second = |keywords: &[&str]| statement.get(1).is_some_and(|word| word.is_one_of(keywords));
    let concurrent = first.is_one_of(&["create", "drop", "reindex"])
        && statement.iter().take(6).any(|word| word.is("concurrently"))
        && !starts(statement, &["drop", "table"]);
    let reindexes_many = first.is("reindex") && {
        let options = statement.iter().position(|token| token.kind == Kind::Close);
        let after = options.filter(|_| second_is_open(statement)).map_or(1, |close| close + 1);
        statement.get(after).is_some_and(|what| what.is_one_of(&["database", "system", "schema"]))
    };
    let detaches = starts(statement, &["alter", "table"])
        && follows(statement, &["detach", "partition"]).is_some()
        && statement.last().is_some_and(|word| word.is("concurrently"));
    concurrent
        || reindexes_many
        || detaches
        || first.is("vacuum")
        || (first.is("cluster") && statement.len() == 1)
        || (first.is_one_of(&["create", "drop"])
            && second(&["database", "tablespace", "subscription"]))
        || starts(statement, &["alter", "system"])
}

fn second_is_open(statement: &[Token<'_>]) -> bool {
    statement.get(1).is_some_and(|token| token.kind == Kind::Open)
}
