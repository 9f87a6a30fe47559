//! Statements that are refused before any tenant is touched.

/// Why a statement is not run on any tenant.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedStatement {
    /// The text is empty, or holds nothing but comments.
    #[error("the text holds no statement")]
    Empty,
    /// The text holds a NUL character, which no SQL can.
    #[error("the text holds a NUL character")]
    Nul,
    /// The statement begins, ends or divides a transaction.
    #[error("{command}: each tenant's transaction is opened and ended around the statement")]
    Transaction {
        /// What it begins with, such as `commit`.
        command: &'static str,
    },
    /// The statement is `copy`, whose rows travel in another way.
    #[error("copy is not supported here: use select to read and insert to write rows")]
    Copy,
    /// The statement is `load` or `prepare`, of which something would be left behind.
    #[error("{command}: it would leave something on the server that outlives the statement")]
    LeavesSomething {
        /// What it begins with.
        command: &'static str,
    },
    /// The statement is not a query that can stand in parentheses, as one value of each tenant must.
    #[error("the statement is not a query that returns a value: {message}")]
    NotAQuery {
        /// What the server says.
        message: String,
    },
    /// The statement has parameters such as `$1`, which nobody binds.
    #[error("the statement has parameters, and there are no values for them")]
    Parameters,
    /// The query returns several columns where one value of each tenant is asked for.
    #[error("the query returns {columns} columns, and one value of each tenant is asked for")]
    Columns {
        /// How many.
        columns: usize,
    },
    /// The server cannot read the text as one statement: it holds several, or a syntax error.
    #[error("the server cannot read the text as one statement: {message}")]
    Unreadable {
        /// What the server says.
        message: String,
    },
}

crate::error_report::readable_debug!(RefusedStatement);

/// Keywords that a statement about transactions begins with. `end` ends one, too.
const TRANSACTIONS: [&str; 8] =
    ["abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"];

/// Of `prepare`, `prepare transaction` leaves a transaction behind that nobody ends.
const LEAVES_SOMETHING: [&str; 2] = ["load", "prepare"];

/// Refuses what should not be run on any tenant, by the keyword that it begins with.
///
/// It need not be complete: every session is reset after the statement. It tells of a mistake early.
pub(super) fn check(text: &str) -> Result<(), RefusedStatement> {
    if text.contains('\0') {
        return Err(RefusedStatement::Nul);
    }
    let statement = skip_to_keyword(text);
    if statement.is_empty() {
        return Err(RefusedStatement::Empty);
    }
    let end = statement.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let keyword = &statement[..end.unwrap_or(statement.len())];
    let among = |words: &[&'static str]| {
        words.iter().find(|word| word.eq_ignore_ascii_case(keyword)).copied()
    };
    if let Some(command) = among(&TRANSACTIONS) {
        return Err(RefusedStatement::Transaction { command });
    }
    if let Some(command) = among(&LEAVES_SOMETHING) {
        return Err(RefusedStatement::LeavesSomething { command });
    }
    match among(&["copy"]) {
        Some(_) => Err(RefusedStatement::Copy),
        None => Ok(()),
    }
}

/// Skips what may stand before the first keyword: white space, comments, and semicolons after nothing.
fn skip_to_keyword(mut text: &str) -> &str {
    loop {
        let is_space = |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | ';');
        text = text.trim_start_matches(is_space);
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
        } else if let Some(comment) = text.strip_prefix("/*") {
            text = after_comment(comment);
        } else {
            return text;
        }
    }
}

/// Returns what comes behind a comment that has begun. Comments nest.
fn after_comment(mut text: &str) -> &str {
    let mut depth = 1_usize;
    while depth > 0 {
        let Some(at) = text.find(['/', '*']) else { return "" };
        let (step, length) = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth = depth.saturating_add_signed(step);
        text = &text[at + length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_by_name_whatever_stands_before_it() {
        use RefusedStatement::{Copy, Empty, LeavesSomething, Nul, Transaction};
        for (text, expected) in [
            ("", Err(Empty)),
            (" ;\n; ", Err(Empty)),
            ("-- a comment only", Err(Empty)),
            ("/* a /* nested */ one */ ; -- x", Err(Empty)),
            ("/* never ends", Err(Empty)),
            ("select '\0'", Err(Nul)),
            ("COMMIT", Err(Transaction { command: "commit" })),
            ("; \x0b/* /**/ */ rollback to x", Err(Transaction { command: "rollback" })),
            ("-- x\rstart transaction", Err(Transaction { command: "start" })),
            ("end", Err(Transaction { command: "end" })),
            ("prepare transaction 'x'", Err(LeavesSomething { command: "prepare" })),
            ("load 'auto_explain'", Err(LeavesSomething { command: "load" })),
            ("copy(select 1)to stdout", Err(Copy)),
            ("select 1", Ok(())),
            ("(select 1)", Ok(())),
            ("begin_of_time", Ok(())),
            ("\"begin\"", Ok(())),
            ("set transaction read write", Ok(())),
            ("vacuum", Ok(())),
        ] {
            assert_eq!(check(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_anything(text in "[-/*;a-z \\n\\PC]{0,40}") {
            let _ = check(&text);
        }

        #[test]
        fn finds_the_keyword_behind_anything_that_means_nothing(
            before in prop::collection::vec(prop::sample::select(vec![" ", ";", "\n", "/**/", "/*/**/x*/", "--y\n"]), 0..8),
        ) {
            let text = before.concat() + "commit";
            prop_assert_eq!(check(&text), Err(RefusedStatement::Transaction { command: "commit" }));
        }
    }
}
