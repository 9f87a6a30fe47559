//! The parser, in builds that include it.

use squawk_parser::{EntryPoint, LexedStr, StrStep};

use super::{
    syntax::SyntaxKind,
    tree::{Item, Language, Tree},
};

/// Whether this build has the parser.
pub(in super::super) const HAS_PARSER: bool = true;

/// Parses a text, which starts at `base` of the text that positions refer to. Returns nothing if the parser does not
/// know the statement.
pub(super) fn parse(text: &str, base: usize, language: Language) -> Option<Tree<'_>> {
    let lexed = LexedStr::new(text);
    let entry = match language {
        Language::Sql => EntryPoint::SourceFile,
        Language::PlPgSql => EntryPoint::Plpgsql,
    };
    let output = entry.parse(&lexed.to_input());
    let (mut nodes, mut is_known) = (Nodes::default(), true);
    lexed.intersperse_trivia(&output, &mut |step| match step {
        StrStep::Enter { kind } => nodes.enter(kind),
        StrStep::Exit => nodes.exit(),
        StrStep::Token { kind, text } => nodes.token(kind, text),
        StrStep::Error { .. } => {
            let in_body = language == Language::PlPgSql && nodes.is_in(SyntaxKind::ERROR);
            is_known &= in_body;
        }
    });
    let nodes = nodes.found;
    let unknown = nodes.iter().filter(|node| node.kind == SyntaxKind::ERROR);
    let unknown = unknown.map(|node| node.range.start + base..node.range.end + base).collect();
    is_known.then_some(Tree { text, base, nodes, unknown })
}

/// The nodes that the parser has found so far.
#[derive(Default)]
struct Nodes {
    found: Vec<Item>,
    /// The nodes that have begun and not ended, from the outermost.
    open: Vec<usize>,
    /// The position in the text.
    at: usize,
    /// The end of the last token other than white space and comments.
    last: usize,
}

impl Nodes {
    fn parent(&self) -> usize {
        self.open.last().copied().unwrap_or(0)
    }

    /// Returns `true` if the innermost open node is of this kind.
    fn is_in(&self, kind: SyntaxKind) -> bool {
        self.open.last().is_some_and(|index| self.found[*index].kind == kind)
    }

    fn enter(&mut self, kind: SyntaxKind) {
        let parent = self.parent();
        self.open.push(self.found.len());
        self.found.push(Item { kind, range: self.at..0, parent, end: 0 });
    }

    fn exit(&mut self) {
        let end = self.found.len();
        if let Some(node) = self.open.pop().and_then(|index| self.found.get_mut(index)) {
            node.end = end;
            node.range.end = self.last.max(node.range.start);
        }
    }

    fn token(&mut self, kind: SyntaxKind, text: &str) {
        let range = self.at..self.at + text.len();
        self.at = range.end;
        if kind.is_trivia() {
            return;
        }
        // Nodes that started with white space start here.
        for index in self.open.iter().rev() {
            let node = &mut self.found[*index];
            if node.range.end > 0 {
                break;
            }
            node.range = range.clone();
        }
        self.last = range.end;
        let (parent, end) = (self.parent(), self.found.len() + 1);
        self.found.push(Item { kind, range, parent, end });
    }
}
