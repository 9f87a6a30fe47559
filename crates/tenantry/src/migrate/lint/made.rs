//! The tables that a file creates.

use std::collections::HashSet;

use super::{
    piece::{Piece, Within},
    syntax::SyntaxKind as S,
    tree::Node,
};

/// Objects that the file has created so far: they are not visible to other sessions, so no session waits for them.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) tables: HashSet<String>,
    /// Tables with a validated constraint, which lets `set not null` skip its check.
    pub(super) checked: HashSet<String>,
}

impl Made {
    /// Records what a statement creates.
    pub(super) fn note(&mut self, piece: &Piece<'_>) {
        let Some(tree) = piece.tree.as_ref().filter(|_| piece.within != Within::Routine) else {
            return;
        };
        for node in tree.nodes() {
            match node.kind() {
                S::CREATE_TABLE | S::CREATE_TABLE_AS | S::CREATE_FOREIGN_TABLE | S::INTO_CLAUSE => {
                    self.tables.extend(node.child(S::TABLE_NAME).map(last_name));
                }
                S::CREATE_MATERIALIZED_VIEW => {
                    self.tables.extend(node.child(S::VIEW).map(last_name));
                }
                S::ALTER_TABLE => {
                    let renamed = node.child(S::TABLE_RENAME_TO);
                    let renamed = renamed.and_then(|to| to.child(S::TABLE_NAME)).map(last_name);
                    self.tables.extend(renamed.filter(|_| self.has(node)));
                    if node.child(S::VALIDATE_CONSTRAINT).is_some() {
                        self.checked.extend(table_of(node));
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns `true` if a statement concerns a table that the file has created.
    pub(super) fn has(&self, statement: Node<'_, '_>) -> bool {
        table_of(statement).is_some_and(|table| self.tables.contains(&table))
    }
}

/// Returns the table that a statement is about, without its schema.
pub(super) fn table_of(statement: Node<'_, '_>) -> Option<String> {
    let kinds = [S::TABLE_RELATION_NAME, S::TABLE_NAME_REF, S::RELATION_NAME, S::VIEW_REF];
    statement.children().find(|child| kinds.contains(&child.kind())).map(last_name)
}

/// Returns the last part of a name with dots.
pub(super) fn last_name(name: Node<'_, '_>) -> String {
    let is_segment =
        |part: &Node<'_, '_>| matches!(part.kind(), S::PATH_SEGMENT | S::PATH_SEGMENT_REF);
    let last = name.descendants().filter(is_segment).last();
    last.map(Node::name).unwrap_or_default()
}
