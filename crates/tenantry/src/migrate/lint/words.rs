//! Sequences of keywords.

use super::script::{Kind, Token};

/// Returns `true` if a statement starts with these words.
pub(super) fn starts(statement: &[Token<'_>], keywords: &[&str]) -> bool {
    statement.len() >= keywords.len()
        && statement.iter().zip(keywords).all(|(token, keyword)| match *keyword {
            // The only word that is not a keyword, and so can be quoted.
            "search_path" => token.is_name() && token.name() == "search_path",
            keyword => token.is(keyword),
        })
}

/// Finds these words in sequence, and returns the position of the last one.
pub(super) fn follows(statement: &[Token<'_>], keywords: &[&str]) -> Option<usize> {
    let at = (0..statement.len()).find(|index| starts(&statement[*index..], keywords))?;
    Some(at + keywords.len() - 1)
}

/// Returns the starts of statements, in a file or in the body of a routine.
pub(super) fn beginnings<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'t [Token<'a>]> {
    let begins = |index: &usize| {
        index.checked_sub(1).is_none_or(|before| {
            let before = &tokens[before];
            before.kind == Kind::Semicolon
                || before.text == ">>"
                || before.text == ">"
                || before.is_one_of(&["begin", "atomic", "then", "else", "loop"])
        })
    };
    (0..tokens.len()).filter(begins).map(|index| &tokens[index..])
}
