//! A statement, or the body of a routine, as a tree.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    parse::{SyntaxKind, parse},
    script::{Kind, Token},
};

/// The maximum nesting depth of parentheses and blocks, and the maximum number of tokens without a comma in open
/// ones. The parser can recurse for each of these, using 2.5 kB of stack without optimization, and would overflow the
/// stack: deeper texts are not parsed.
const DEEPEST: usize = 50;
const LONGEST: usize = 350;

/// The syntax tree of a text. Nodes are in the order of their starts; tokens are nodes without children.
pub(super) struct Tree<'a> {
    pub(super) text: &'a str,
    /// The position of the text within the text that positions refer to.
    pub(super) base: usize,
    pub(super) nodes: Vec<Item>,
    pub(super) unknown: Vec<Range<usize>>,
}

pub(super) struct Item {
    pub(super) kind: SyntaxKind,
    pub(super) range: Range<usize>,
    pub(super) parent: usize,
    /// The node after the last one in this.
    pub(super) end: usize,
}

/// The language of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Sql,
    PlPgSql,
}

impl<'a> Tree<'a> {
    /// Parses the part of a text that the tokens come from. Returns nothing if the parser does not know the
    /// statement.
    pub(super) fn new(text: &'a str, tokens: &[Token<'_>], language: Language) -> Option<Self> {
        let range = tokens.first()?.at..tokens.last()?.end();
        if is_deep(tokens) {
            return None;
        }
        let (base, text) = (range.start, text.get(range)?);
        // It is known to panic in places where it makes no progress.
        catch_unwind(AssertUnwindSafe(|| parse(text, base, language))).ok().flatten()
    }

    /// Returns the parts of a body that the parser does not know, such as `select … into …`.
    pub(super) fn unknown(&self) -> &[Range<usize>] {
        &self.unknown
    }

    /// Returns all nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        (0..self.nodes.len()).map(|index| Node { tree: self, index })
    }
}

/// One node of a tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t, 'a> {
    tree: &'t Tree<'a>,
    index: usize,
}

impl<'t, 'a> Node<'t, 'a> {
    fn item(self) -> &'t Item {
        &self.tree.nodes[self.index]
    }

    pub(super) fn kind(self) -> SyntaxKind {
        self.item().kind
    }

    pub(super) fn is(self, kind: SyntaxKind) -> bool {
        self.kind() == kind
    }

    /// Returns its position.
    pub(super) fn at(self) -> usize {
        self.tree.base + self.item().range.start
    }

    pub(super) fn text(self) -> &'a str {
        self.tree.text.get(self.item().range.clone()).unwrap_or_default()
    }

    /// Returns the name that it consists of, as the server stores it.
    pub(super) fn name(self) -> String {
        name_of(self.text())
    }

    pub(super) fn parent(self) -> Option<Self> {
        (self.index > 0).then(|| Self { tree: self.tree, index: self.item().parent })
    }

    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let end = self.item().end;
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(Self { tree: self.tree, index: next })?;
            next = child.item().end.max(next + 1);
            Some(child)
        })
    }

    /// Returns all nodes in it.
    pub(super) fn descendants(self) -> impl Iterator<Item = Self> {
        (self.index + 1..self.item().end).map(move |index| Self { tree: self.tree, index })
    }

    pub(super) fn child(self, kind: SyntaxKind) -> Option<Self> {
        self.children().find(|child| child.is(kind))
    }

    /// Returns `true` if the subtree contains a node of this kind.
    pub(super) fn has(self, kind: SyntaxKind) -> bool {
        self.descendants().any(|node| node.is(kind))
    }
}

/// Returns a name as the server stores it: folded, unless it is in quotes.
pub(super) fn name_of(text: &str) -> String {
    if let Some(quoted) = text.strip_prefix(['U', 'u']).and_then(|rest| rest.strip_prefix('&')) {
        return unescaped(&name_of(quoted), '\\');
    }
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_ascii_lowercase(),
    }
}

/// Replaces numeric escapes of characters: `\0061`, `\+000061`, and `\\` for the backslash itself, with any other
/// escape character instead of the backslash.
pub(crate) fn unescaped(text: &str, escape: char) -> String {
    let mut name = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(escape) {
        name.push_str(before);
        let (digits, length) = match after.strip_prefix('+') {
            Some(digits) => (digits, 6),
            None => (after, 4),
        };
        let number = digits.get(..length).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number.and_then(char::from_u32) {
            Some(character) => {
                name.push(character);
                rest = &digits[length..];
            }
            None => {
                name.push(escape);
                rest = after.strip_prefix(escape).unwrap_or(after);
            }
        }
    }
    name + rest
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
