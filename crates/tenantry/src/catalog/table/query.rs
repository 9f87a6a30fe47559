//! Checks of an application's query before it is sent.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// The reason why a text cannot be the query of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("it is empty")]
    Empty,
    #[error("it must be a single select, but begins with {0:?}")]
    Begin(String),
    #[error("it must be a single statement, but contains several")]
    Several,
    #[error("a parenthesis, a quote or a comment is not closed")]
    Unclosed,
    #[error("it contains a NUL character")]
    Nul,
    #[error("it has a parameter, but no values are bound: write the values into the text")]
    Parameter,
    #[error("it locks rows with `for {0}`, but a catalog only reads")]
    Locks(String),
}

/// Keywords that begin a query.
const BEGINNINGS: [&str; 4] = ["select", "with", "values", "table"];

/// Keywords that follow `for` in a row lock.
const LOCKS: [&str; 4] = ["update", "share", "no", "key"];

/// Checks that a text is one query, and returns it without a trailing semicolon.
///
/// It reports mistakes early and need not be complete: the text belongs to the application, and
/// becomes a parenthesized sub-select, where the server accepts only a query.
pub(super) fn check(text: &str) -> Result<&str, QueryError> {
    if text.contains('\0') {
        return Err(QueryError::Nul);
    }
    let mut reading = Reading::default();
    let mut at = 0;
    for token in tokenize(text) {
        let end = at + token.len as usize;
        let Some(part) = text.get(at..end) else { break };
        reading.take(token.kind, part, at)?;
        at = end;
    }
    if reading.last.is_empty() {
        return Err(QueryError::Empty);
    }
    match reading.depth {
        0 => Ok(&text[..reading.end.unwrap_or(text.len())]),
        _ => Err(QueryError::Unclosed),
    }
}

#[derive(Default)]
struct Reading {
    depth: usize,
    /// The previous word or character, in lower case; empty at the beginning.
    last: String,
    has_begun: bool,
    /// Position of the trailing semicolon.
    end: Option<usize>,
}

impl Reading {
    fn take(&mut self, kind: TokenKind, text: &str, at: usize) -> Result<(), QueryError> {
        match kind {
            TokenKind::Whitespace | TokenKind::Eof | TokenKind::LineComment => return Ok(()),
            TokenKind::BlockComment { terminated: true } => return Ok(()),
            TokenKind::Semi if self.depth == 0 && self.has_begun => {
                self.end.get_or_insert(at);
                return Ok(());
            }
            _ if self.end.is_some() => return Err(QueryError::Several),
            _ if is_unclosed(kind) => return Err(QueryError::Unclosed),
            TokenKind::PositionalParam { .. } => return Err(QueryError::Parameter),
            TokenKind::OpenParen => self.depth += 1,
            TokenKind::CloseParen => {
                self.depth = self.depth.checked_sub(1).ok_or(QueryError::Unclosed)?;
            }
            _ => {}
        }
        let word = text.to_ascii_lowercase();
        if !self.has_begun && kind != TokenKind::OpenParen {
            if !BEGINNINGS.contains(&word.as_str()) {
                return Err(QueryError::Begin(text.chars().take(20).collect()));
            }
            self.has_begun = true;
        }
        if self.last == "for" && kind == TokenKind::Ident && LOCKS.contains(&word.as_str()) {
            return Err(QueryError::Locks(word));
        }
        self.last = word;
        Ok(())
    }
}

fn is_unclosed(kind: TokenKind) -> bool {
    use LiteralKind::{
        BitStr, ByteStr, DollarQuotedString, EscStr, NationalStr, Str, UnicodeEscStr,
    };
    match kind {
        TokenKind::BlockComment { terminated } | TokenKind::QuotedIdent { terminated, .. } => {
            !terminated
        }
        TokenKind::Literal { kind } => matches!(
            kind,
            Str { terminated: false }
                | NationalStr { terminated: false }
                | ByteStr { terminated: false }
                | BitStr { terminated: false }
                | UnicodeEscStr { terminated: false }
                | EscStr { terminated: false }
                | DollarQuotedString { terminated: false }
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_query_is_accepted() {
        for text in [
            "select slug as id from tenants",
            "  -- ours\n SELECT 1 as id",
            "with t as (select 1 as id) select id from t",
            "(select 1 as id) union (select 2)",
            "values (1)",
            "table tenants",
            "select ';' as id, $$ ; ) $$ as x, \";\" /* ; ( */ from t",
            "select substring(slug for 3) as id from tenants",
            "select id from tenants -- comment",
        ] {
            assert_eq!(check(text), Ok(text));
        }
        assert_eq!(check("select 1 as id ; -- end\n;"), Ok("select 1 as id "));
    }

    #[test]
    fn everything_else_is_refused_in_words() {
        for (text, error) in [
            ("", QueryError::Empty),
            (" -- nothing", QueryError::Empty),
            (";", QueryError::Begin(";".to_owned())),
            ("delete from tenants", QueryError::Begin("delete".to_owned())),
            ("tenants", QueryError::Begin("tenants".to_owned())),
            ("select 1; select 2", QueryError::Several),
            ("select 1; drop table x;", QueryError::Several),
            ("select 1) as q; drop table x; --", QueryError::Unclosed),
            ("select 1) as a, (select 2", QueryError::Unclosed),
            ("select (1", QueryError::Unclosed),
            ("select 'a", QueryError::Unclosed),
            ("select 1 /* a", QueryError::Unclosed),
            ("select $1 as id", QueryError::Parameter),
            ("select '\0'", QueryError::Nul),
            ("select id from tenants for update", QueryError::Locks("update".to_owned())),
            ("select id from tenants FOR NO KEY UPDATE", QueryError::Locks("no".to_owned())),
        ] {
            assert_eq!(check(text), Err(error), "{text:?}");
        }
    }
}
