//! The parser, in builds that include it.

use squawk_parser::{EntryPoint, LexedStr, StrStep};

pub(super) use squawk_parser::SyntaxKind;

use super::tree::{Item, Language, Tree};

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
    let mut nodes: Vec<Item> = Vec::new();
    let (mut open, mut at, mut last, mut is_known) = (Vec::new(), 0, 0, true);
    lexed.intersperse_trivia(&output, &mut |step| match step {
        StrStep::Enter { kind } => {
            let parent = open.last().copied().unwrap_or(0);
            open.push(nodes.len());
            nodes.push(Item { kind, range: at..0, parent, end: 0 });
        }
        StrStep::Exit => {
            let end = nodes.len();
            if let Some(node) = open.pop().and_then(|index: usize| nodes.get_mut(index)) {
                node.end = end;
                node.range.end = last.max(node.range.start);
            }
        }
        StrStep::Token { kind, text } => {
            let range = at..at + text.len();
            at = range.end;
            if kind.is_trivia() {
                return;
            }
            // Nodes that started with white space start here.
            for index in open.iter().rev() {
                let node: &mut Item = &mut nodes[*index];
                if node.range.end > 0 {
                    break;
                }
                node.range = range.clone();
            }
            last = range.end;
            let parent = open.last().copied().unwrap_or(0);
            nodes.push(Item { kind, range, parent, end: nodes.len() + 1 });
        }
        StrStep::Error { .. } => {
            let within = open.last().map(|index| nodes[*index].kind);
            let in_body = language == Language::PlPgSql && within == Some(SyntaxKind::ERROR);
            is_known &= in_body;
        }
    });
    let unknown = nodes.iter().filter(|node| node.kind == SyntaxKind::ERROR);
    let unknown = unknown.map(|node| node.range.start + base..node.range.end + base).collect();
    let tree = Tree { text, base, nodes, unknown };
    is_known.then_some(tree)
}
