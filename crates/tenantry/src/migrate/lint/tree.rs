//! A statement, or the body of a routine, as a tree.

use std::ops::Range;

use super::{name::name_of, syntax::SyntaxKind};

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
