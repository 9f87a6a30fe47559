//! A file as tokens and statements.

use std::ops::Range;

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use super::name::name_of;

/// A token that means something: neither white space nor a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// The byte position.
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A single-quoted string of any form.
    Text,
    /// A string between dollars.
    Dollar,
    /// `.`
    Dot,
    /// `;`
    Semicolon,
    Open,
    Close,
    Comma,
    /// A backslash, which starts a `psql` command.
    Backslash,
    Other,
}

impl Token<'_> {
    /// Returns `true` if it is this keyword, given in lower case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(super) fn is_one_of(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// Returns the keyword in lower case; an empty text if it is something else.
    pub(super) fn keyword(&self) -> String {
        match self.kind {
            Kind::Word => self.text.to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    pub(super) fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    /// Returns the name as the server stores it: folded, unless it is in quotes.
    pub(super) fn name(&self) -> String {
        name_of(self.text)
    }

    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

impl Kind {
    fn of(kind: TokenKind, text: &str) -> Self {
        match kind {
            TokenKind::Ident => Self::Word,
            TokenKind::QuotedIdent { .. } => Self::Quoted,
            TokenKind::Literal { kind: LiteralKind::DollarQuotedString { .. } } => Self::Dollar,
            TokenKind::Literal { kind } if is_string(kind) => Self::Text,
            TokenKind::Dot => Self::Dot,
            TokenKind::Semi => Self::Semicolon,
            TokenKind::OpenParen => Self::Open,
            TokenKind::CloseParen => Self::Close,
            TokenKind::Comma => Self::Comma,
            TokenKind::Literal { .. } => Self::Other,
            _ if text.starts_with('\\') => Self::Backslash,
            _ => Self::Other,
        }
    }
}

/// Returns `true` for a constant in single quotes.
fn is_string(kind: LiteralKind) -> bool {
    matches!(
        kind,
        LiteralKind::Str { .. }
            | LiteralKind::NationalStr { .. }
            | LiteralKind::ByteStr { .. }
            | LiteralKind::BitStr { .. }
            | LiteralKind::UnicodeEscStr { .. }
            | LiteralKind::EscStr { .. }
    )
}

/// Returns what a token is, if its end is missing.
fn unterminated(kind: TokenKind) -> Option<&'static str> {
    match kind {
        TokenKind::BlockComment { terminated: false } => Some("a comment"),
        TokenKind::QuotedIdent { terminated: false, .. } => Some("a quoted name"),
        TokenKind::Literal { kind } => match kind {
            LiteralKind::Str { terminated: false }
            | LiteralKind::NationalStr { terminated: false }
            | LiteralKind::ByteStr { terminated: false }
            | LiteralKind::BitStr { terminated: false }
            | LiteralKind::UnicodeEscStr { terminated: false }
            | LiteralKind::EscStr { terminated: false } => Some("a string"),
            LiteralKind::DollarQuotedString { terminated: false } => Some("a dollar-quoted string"),
            _ => None,
        },
        _ => None,
    }
}

/// A file as tokens.
#[derive(Debug, Default)]
pub(super) struct Script<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    /// Comments with their positions.
    pub(super) comments: Vec<(usize, &'a str)>,
    /// Unterminated tokens: where they start, and what they are.
    pub(super) unterminated: Vec<(usize, &'static str)>,
}

impl<'a> Script<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut script = Self::default();
        let mut at = 0;
        for token in tokenize(text) {
            let length = token.len as usize;
            let Some(part) = text.get(at..at + length) else { break };
            script.add(token.kind, part, at);
            at += length;
        }
        script
    }

    fn add(&mut self, kind: TokenKind, text: &'a str, at: usize) {
        if let Some(what) = unterminated(kind) {
            self.unterminated.push((at, what));
        }
        match kind {
            TokenKind::Whitespace | TokenKind::Eof => {}
            TokenKind::LineComment | TokenKind::BlockComment { .. } => {
                self.comments.push((at, text));
            }
            kind => self.tokens.push(Token { kind: Kind::of(kind, text), text, at }),
        }
    }

    /// Returns the statements, without the semicolons between them. Empty ones are left out.
    pub(super) fn statements(&self) -> Vec<&[Token<'a>]> {
        let mut statements = Vec::new();
        let (mut begin, mut splitter) = (0, Splitter::default());
        for (index, token) in self.tokens.iter().enumerate() {
            if splitter.ends_at(token) {
                statements.push(&self.tokens[begin..index]);
                begin = index + 1;
                splitter = Splitter::default();
            }
        }
        statements.push(&self.tokens[begin..]);
        statements.retain(|statement| !statement.is_empty());
        statements
    }
}

/// Finds the end of a statement, like `psql`: at a semicolon outside parentheses, and outside the unquoted SQL body
/// of a routine.
#[derive(Debug, Default)]
struct Splitter<'a> {
    parentheses: usize,
    /// The number of words so far, as far as it matters.
    words: usize,
    creates: bool,
    is_routine: bool,
    /// The number of open `begin atomic` and `case` blocks.
    blocks: usize,
    before: Option<Token<'a>>,
}

impl<'a> Splitter<'a> {
    fn ends_at(&mut self, token: &Token<'a>) -> bool {
        match token.kind {
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Semicolon => return self.parentheses == 0 && self.blocks == 0,
            Kind::Word => self.read_word(token),
            _ => {}
        }
        self.before = Some(*token);
        false
    }

    fn read_word(&mut self, word: &Token<'_>) {
        self.words += 1;
        match self.words {
            1 => self.creates = word.is("create"),
            2..=4 if self.creates && word.is_one_of(&["function", "procedure"]) => {
                self.is_routine = true;
            }
            _ => {}
        }
        if !self.is_routine || self.parentheses > 0 {
            return;
        }
        let after = |keyword| self.before.is_some_and(|before| before.is(keyword));
        // A routine can be called `begin`, and a column `end`.
        let is_name = after("as") || self.before.is_some_and(|before| before.kind == Kind::Dot);
        if self.blocks == 0 {
            self.blocks = usize::from(word.is("atomic") && after("begin"));
        } else if word.is("case") && !is_name {
            self.blocks += 1;
        } else if word.is("end") && !is_name {
            self.blocks -= 1;
        }
    }
}

/// Returns the positions of the statements in a file, without surrounding white space, comments and semicolons.
pub(crate) fn statements(text: &str) -> Vec<Range<usize>> {
    let script = Script::new(text);
    let range = |statement: &&[Token<'_>]| {
        let (first, last) = (statement.first()?, statement.last()?);
        Some(first.at..last.end())
    };
    script.statements().iter().filter_map(range).collect()
}
