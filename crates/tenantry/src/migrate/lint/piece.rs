//! The units in which a file is checked: statements, and the bodies of routines.

use std::{borrow::Cow, collections::HashSet};

use super::{
    parse::SyntaxKind as S,
    script::{Kind, Script, Token},
    tree::{Language, Tree},
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
    if !is_block && !is_routine(statement) {
        return Vec::new();
    }
    let named = statement.windows(2).find(|pair| pair[0].is("language"));
    let named = named.map(|pair| pair[1].text.trim_matches(['\'', '"']).to_ascii_lowercase());
    let language = match named.as_deref() {
        Some("sql") => Language::Sql,
        None | Some("plpgsql") => Language::PlPgSql,
        Some(_) => return Vec::new(),
    };
    let mut around: HashSet<String> = ["new", "old", "excluded"].map(str::to_owned).into();
    around.extend(statement.iter().filter(|token| token.is_name()).map(Token::name));
    let mut found = Vec::new();
    for (index, token) in statement.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| &statement[index]);
        let is_body = before.is_some_and(|word| match is_block {
            true => !word.is("language"),
            false => word.is("as"),
        });
        if let Some((text, offset)) = text_of(token).filter(|_| is_body) {
            let within = if is_block { Within::Block } else { Within::Routine };
            found.push(Body { text, offset, language, within, around: around.clone() });
        }
    }
    found
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
                    self.look_at(statement, Language::Sql, &self.around, 0, look);
                }
            }
            Language::PlPgSql => {
                let mut around = self.around.clone();
                around.extend(declared(&script.tokens));
                self.look_at(&script.tokens, Language::PlPgSql, &around, 0, look);
            }
        }
    }

    fn look_at(
        &self,
        tokens: &[Token<'_>],
        language: Language,
        around: &HashSet<String>,
        offset: usize,
        look: &mut dyn FnMut(&Piece<'_>),
    ) {
        let tree = Tree::new(&self.text, tokens, language);
        for literal in tree.iter().flat_map(executed) {
            let body = Body {
                text: literal.0,
                offset: self.offset + literal.1,
                language: Language::Sql,
                within: self.within,
                around: HashSet::new(),
            };
            body.each(look);
        }
        for part in tree.iter().flat_map(|tree| tree.unknown()) {
            // A part that the language's grammar does not know is an SQL statement with `into`.
            if let Some(text) = self.text.get(part.clone()) {
                let text = without_into(text);
                let script = Script::new(&text);
                for statement in script.statements() {
                    let tree = Tree::new(&text, statement, Language::Sql);
                    let (within, offset) = (self.within, self.offset + part.start);
                    look(&Piece { tokens: statement, tree, within, offset, around });
                }
            }
        }
        let (within, offset) = (self.within, self.offset + offset);
        look(&Piece { tokens, tree, within, offset, around });
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
        if !token.is("into") || of_insert {
            continue;
        }
        let mut end = token.end();
        let mut wants_name = true;
        for next in &tokens[index + 1..] {
            let is_target = match next.kind {
                Kind::Word if next.is("strict") && wants_name => true,
                Kind::Word | Kind::Quoted if wants_name => {
                    wants_name = false;
                    true
                }
                Kind::Comma | Kind::Dot => {
                    wants_name = true;
                    true
                }
                _ => false,
            };
            if !is_target {
                break;
            }
            end = next.end();
        }
        bytes[token.at..end].fill(b' ');
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
