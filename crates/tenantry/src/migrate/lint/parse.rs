//! Parses a statement, or the body of a routine, within safe bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    parser,
    script::{Kind, Token},
    tree::{Language, Tree},
};

/// The maximum nesting depth of parentheses and blocks, and the maximum number of tokens without a comma in open
/// ones. The parser can recurse for each of these, using 2.5 kB of stack without optimization, and would overflow the
/// stack: deeper texts are not parsed.
const DEEPEST: usize = 50;
const LONGEST: usize = 350;

/// Parses the part of a text that the tokens come from. Returns nothing if the parser does not know the statement.
pub(super) fn parse<'a>(
    text: &'a str,
    tokens: &[Token<'_>],
    language: Language,
) -> Option<Tree<'a>> {
    let range = tokens.first()?.at..tokens.last()?.end();
    if is_deep(tokens) {
        return None;
    }
    let (base, text) = (range.start, text.get(range)?);
    // The parser is known to panic in places where it makes no progress.
    catch_unwind(AssertUnwindSafe(|| parser::parse(text, base, language))).ok().flatten()
}

/// Returns `true` if parsing could overflow the stack.
fn is_deep(tokens: &[Token<'_>]) -> bool {
    // Tokens since the last comma or semicolon, in each open parenthesis and in all enclosing ones.
    let (mut outer, mut run) = (Vec::new(), 0);
    let (mut blocks, mut begins) = (0_usize, true);
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| &tokens[index]);
        let ends = before.is_some_and(|word| word.is("end"));
        run += 1;
        match token.kind {
            Kind::Open => outer.push(run),
            Kind::Close => run = outer.pop().unwrap_or(run),
            Kind::Comma | Kind::Semicolon => run = outer.last().copied().unwrap_or(0),
            Kind::Other if token.text == "[" => outer.push(run),
            Kind::Other if token.text == "]" => run = outer.pop().unwrap_or(run),
            Kind::Word if token.is_one_of(&["case", "begin", "loop"]) && !ends => blocks += 1,
            Kind::Word if token.is("if") && begins => blocks += 1,
            Kind::Word if token.is("end") => blocks = blocks.saturating_sub(1),
            _ => {}
        }
        if outer.len() + blocks > DEEPEST || run > LONGEST {
            return true;
        }
        begins = token.kind == Kind::Semicolon
            || token.is_one_of(&["begin", "then", "else", "loop", "elsif"]);
    }
    false
}
