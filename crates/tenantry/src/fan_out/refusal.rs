//! Statements that are refused before any tenant is touched.

/// The reason why a statement is refused for all tenants.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedStatement {
    /// The text is empty, or contains only comments.
    #[error("the text contains no statement")]
    Empty,
    /// The text contains a NUL character, which SQL does not allow.
    #[error("the text contains a NUL character")]
    Nul,
    /// The statement begins or ends a transaction, or sets a savepoint.
    #[error("{command}: each tenant's transaction is opened and ended around the statement")]
    Transaction {
        /// Its first keyword, such as `commit`.
        command: &'static str,
    },
    /// The statement is `copy`, whose rows use another protocol.
    #[error("copy is not supported here: use select to read and insert to write rows")]
    Copy,
    /// The statement is `load` or `prepare`, which would leave state behind.
    #[error("{command}: it would leave state on the server that outlives the statement")]
    LeavesSomething {
        /// Its first keyword.
        command: &'static str,
    },
    /// The statement is not a query that can be put in parentheses, which one value of each tenant
    /// requires.
    #[error("the statement is not a query that returns a value: {message}")]
    NotAQuery {
        /// The server's message.
        message: String,
    },
    /// The statement has parameters such as `$1`, which are not bound.
    #[error("the statement has parameters, but no values are bound")]
    Parameters,
    /// The query returns several columns, but one value per tenant is required.
    #[error("the query returns {columns} columns, but a survey reads one value per tenant")]
    Columns {
        /// Number of columns.
        columns: usize,
    },
    /// The server cannot parse the text as one statement: it contains several, or a syntax error.
    #[error("the server cannot read the text as one statement: {message}")]
    Unreadable {
        /// The server's message.
        message: String,
    },
}

crate::error_report::readable_debug!(RefusedStatement);

/// First keywords of transaction commands, including `end`.
const TRANSACTIONS: [&str; 8] =
    ["abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"];

/// `prepare` includes `prepare transaction`, which would leave an open transaction behind.
const LEAVES_SOMETHING: [&str; 2] = ["load", "prepare"];

/// Refuses, by its first keyword, a statement that must not run on any tenant.
///
/// It need not be complete, because every session is reset after the statement. It reports mistakes
/// early.
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

/// Skips text before the first keyword: white space, comments, and leading semicolons.
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

/// Returns the text after a comment that has begun. Comments nest.
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
