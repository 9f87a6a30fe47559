//! The units in which a file is checked: statements, and the bodies of routines.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use super::{
    parse::parse,
    script::{Kind, Script, Token},
    syntax::SyntaxKind as S,
    tree::{Language, Tree},
    words::beginnings,
};

/// A statement, or a part of the body of a routine.
pub(super) struct Piece<'a> {
    pub(super) tokens: &'a [Token<'a>],
    /// `None` if the parser does not know the statement.
    pub(super) tree: Option<Tree<'a>>,
    pub(super) within: Within,
    /// The position in the file of the text that contains it.
    pub(super) offset: usize,
    /// Names of enclosing variables and parameters.
    pub(super) around: &'a HashSet<String>,
}

impl<'a> Piece<'a> {
    /// Returns its statements, each up to its semicolon.
    pub(super) fn statements(&self) -> Vec<&'a [Token<'a>]> {
        let all: Vec<_> = match self.within {
            Within::File => vec![self.tokens],
            Within::Block | Within::Routine => beginnings(self.tokens).collect(),
        };
        let end = |statement: &[Token<'_>]| {
            statement.iter().position(|token| token.kind == Kind::Semicolon)
        };
        all.into_iter().map(|of| &of[..end(of).unwrap_or(of.len())]).collect()
    }
}

/// The context of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    File,
    /// In a `do` block, which runs with the file.
    Block,
    /// In a function or procedure, which runs when called.
    Routine,
}

/// The body of a routine as text.
pub(super) struct Body<'a> {
    text: Cow<'a, str>,
    /// The position in the file.
    offset: usize,
    language: Language,
    within: Within,
    around: HashSet<String>,
}

/// Returns the bodies in a statement, where they are in a language that is known.
pub(super) fn bodies<'a>(statement: &[Token<'a>]) -> Vec<Body<'a>> {
    let is_block = statement[0].is("do");
    let Some(language) = language(statement).filter(|_| is_block || is_routine(statement)) else {
        return Vec::new();
    };
    let mut around: HashSet<String> = ["new", "old", "excluded"].map(str::to_owned).into();
    around.extend(statement.iter().filter(|token| token.is_name()).map(Token::name));
    let within = if is_block { Within::Block } else { Within::Routine };
    let mut found = Vec::new();
    for pair in statement.windows(2) {
        let is_body = match is_block {
            true => !pair[0].is("language"),
            false => pair[0].is("as"),
        };
        if let Some((text, offset)) = text_of(&pair[1]).filter(|_| is_body) {
            found.push(Body { text, offset, language, within, around: around.clone() });
        }
    }
    found
}

/// Returns the language of a routine or a `do`; `None` if it is unknown.
fn language(statement: &[Token<'_>]) -> Option<Language> {
    let named = statement.windows(2).find(|pair| pair[0].is("language"));
    let named = named.map(|pair| pair[1].text.trim_matches(['\'', '"']).to_ascii_lowercase());
    match named.as_deref() {
        Some("sql") => Some(Language::Sql),
        None | Some("plpgsql") => Some(Language::PlPgSql),
        Some(_) => None,
    }
}

fn is_routine(statement: &[Token<'_>]) -> bool {
    statement[0].is_one_of(&["create", "alter"])
        && statement.iter().take(4).any(|token| token.is_one_of(&["function", "procedure"]))
}

/// Returns the text of a body and its position. In a single-quoted body, inner quotes are doubled or escaped: one of
/// the two characters is replaced by a blank, so that positions do not change.
fn text_of<'a>(token: &Token<'a>) -> Option<(Cow<'a, str>, usize)> {
    match token.kind {
        Kind::Dollar => {
            let tag = token.text.get(1..)?.find('$')? + 2;
            let inner = token.text.get(tag..token.text.len().checked_sub(tag)?)?;
            Some((inner.into(), token.at + tag))
        }
        Kind::Text => {
            let (plain, escaped) = (token.text, token.text.strip_prefix(['E', 'e']));
            let inner = escaped.unwrap_or(plain).strip_prefix('\'')?.strip_suffix('\'')?;
            let begin = token.text.len() - inner.len() - 1;
            let inner = match escaped {
                Some(_) => inner.replace("\\'", " '").replace("\\n", " \n").replace("''", " '"),
                None => inner.replace("''", " '"),
            };
            Some((inner.into(), token.at + begin))
        }
        _ => None,
    }
}

impl Body<'_> {
    /// Visits its pieces.
    pub(super) fn each(&self, look: &mut dyn FnMut(&Piece<'_>)) {
        let script = Script::new(&self.text);
        match self.language {
            Language::Sql => {
                for statement in script.statements() {
                    self.look_at(statement, &self.around, look);
                }
            }
            Language::PlPgSql => {
                let mut around = self.around.clone();
                around.extend(declared(&script.tokens));
                self.look_at(&script.tokens, &around, look);
            }
        }
    }

    fn look_at(
        &self,
        tokens: &[Token<'_>],
        around: &HashSet<String>,
        look: &mut dyn FnMut(&Piece<'_>),
    ) {
        let tree = parse(&self.text, tokens, self.language);
        for (text, at) in tree.iter().flat_map(executed) {
            let (offset, within) = (self.offset + at, self.within);
            let around = HashSet::new();
            Body { text, offset, language: Language::Sql, within, around }.each(look);
        }
        for part in tree.iter().flat_map(|tree| tree.unknown()) {
            self.look_at_unknown(part, around, look);
        }
        let (within, offset) = (self.within, self.offset);
        look(&Piece { tokens, tree, within, offset, around });
    }

    /// Visits a part that the language's grammar does not know: an SQL statement with `into`.
    fn look_at_unknown(
        &self,
        part: &Range<usize>,
        around: &HashSet<String>,
        look: &mut dyn FnMut(&Piece<'_>),
    ) {
        let text = without_into(self.text.get(part.clone()).unwrap_or_default());
        let script = Script::new(&text);
        for statement in script.statements() {
            let tree = parse(&text, statement, Language::Sql);
            let (within, offset) = (self.within, self.offset + part.start);
            look(&Piece { tokens: statement, tree, within, offset, around });
        }
    }
}

/// Returns the texts that a body executes verbatim, with their positions. Assembled texts are unknown.
fn executed<'a>(tree: &Tree<'a>) -> Vec<(Cow<'a, str>, usize)> {
    let kinds = [
        S::PLPGSQL_DYN_EXECUTE_STMT,
        S::PLPGSQL_FOR_DYN_STMT,
        S::PLPGSQL_OPEN_EXECUTE,
        S::PLPGSQL_RETURN_QUERY_EXECUTE_STMT,
    ];
    let statements = tree.nodes().filter(|node| kinds.contains(&node.kind()));
    let literals = statements.filter_map(|statement| {
        let mut only = statement.child(S::PLPGSQL_EXPR)?;
        while !only.is(S::LITERAL) {
            let mut children = only.children();
            only = children.next()?;
            if children.next().is_some() {
                return None;
            }
        }
        text_of(&Token { kind: kind_of(only.text()), text: only.text(), at: only.at() })
    });
    literals.collect()
}

fn kind_of(literal: &str) -> Kind {
    if literal.starts_with('$') { Kind::Dollar } else { Kind::Text }
}

/// Returns the names of variables, labels, table aliases and everything else that a body introduces.
fn declared<'a>(tokens: &'a [Token<'_>]) -> impl Iterator<Item = String> + 'a {
    let introduced = |index: &usize| {
        let (name, after) = (&tokens[*index], tokens.get(index + 1));
        let before = index.checked_sub(1).map(|index| &tokens[index]);
        let is_dotted = after.is_some_and(|next| next.kind == Kind::Dot)
            || before.is_some_and(|before| before.kind == Kind::Dot);
        name.is_name() && !is_dotted
    };
    (0..tokens.len()).filter(introduced).map(|index| tokens[index].name())
}

/// Replaces the `into` variables of a statement by blanks.
fn without_into(text: &str) -> String {
    let script = Script::new(text);
    let mut bytes = text.as_bytes().to_vec();
    let tokens = &script.tokens;
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| &tokens[index]);
        let of_insert = before.is_some_and(|word| word.is_one_of(&["insert", "merge"]));
        if token.is("into") && !of_insert {
            let end = end_of_targets(&tokens[index + 1..]).unwrap_or(token.end());
            bytes[token.at..end].fill(b' ');
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Returns the end of the variables after an `into`.
fn end_of_targets(tokens: &[Token<'_>]) -> Option<usize> {
    let (mut wants_name, mut end) = (true, None);
    for token in tokens {
        match token.kind {
            Kind::Word if token.is("strict") && wants_name => {}
            Kind::Word | Kind::Quoted if wants_name => wants_name = false,
            Kind::Comma | Kind::Dot => wants_name = true,
            _ => break,
        }
        end = Some(token.end());
    }
    end
}
