//! The tables that files put under row security.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    script::{Kind, Script, Token},
    words::starts,
};

/// The tables under row security, as the files so far have left them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowTables {
    pub(super) enabled: BTreeSet<String>,
    pub(super) forced: BTreeSet<String>,
    /// Tables that are not forced any more, with the position of the statement.
    released: BTreeMap<String, usize>,
}

impl RowTables {
    /// Records what a file does.
    pub(crate) fn note_file(&mut self, text: &str) {
        if !text.to_ascii_lowercase().contains("security") {
            return;
        }
        for statement in Script::new(text).statements() {
            self.note(statement, 0);
        }
        self.released.clear();
    }

    /// Records `enable`, `disable`, `force` and `no force row level security`.
    pub(super) fn note(&mut self, statement: &[Token<'_>], offset: usize) {
        if !starts(statement, &["alter", "table"]) {
            return;
        }
        let Some(table) = name_at(statement.get(2..).unwrap_or_default()) else { return };
        for at in 1..statement.len() {
            if !starts(&statement[at..], &["row", "level", "security"]) {
                continue;
            }
            let is_negated = at > 1 && statement[at - 2].is("no");
            match &*statement[at - 1].keyword() {
                "enable" => drop(self.enabled.insert(table.clone())),
                "disable" => drop(self.enabled.remove(&table)),
                "force" if is_negated => self.release(&table, offset + statement[0].at),
                "force" => {
                    self.forced.insert(table.clone());
                    self.released.remove(&table);
                }
                _ => {}
            }
        }
    }

    fn release(&mut self, table: &str, at: usize) {
        if self.forced.remove(table) {
            self.released.insert(table.to_owned(), at);
        }
    }

    /// Returns where the file has released tables that it does not force again.
    pub(super) fn released(&self) -> impl Iterator<Item = usize> {
        self.released.values().copied()
    }

    pub(super) fn is_any_enabled(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.enabled.contains(name))
    }
}

/// Returns the table at the beginning of a part of a statement, without its schema.
pub(super) fn name_at(tokens: &[Token<'_>]) -> Option<String> {
    names(tokens).into_iter().next()
}

/// Returns the last parts of the names at the beginning of a part of a statement.
pub(super) fn names(tokens: &[Token<'_>]) -> Vec<String> {
    let before = ["table", "only", "if", "exists"];
    let mut names: Vec<String> = Vec::new();
    let mut after = Kind::Comma;
    for token in tokens.iter().skip_while(|token| token.is_one_of(&before)) {
        match (after, token.kind) {
            (Kind::Comma, Kind::Word) if token.is("only") => continue,
            (Kind::Comma, _) if token.is_name() => names.push(token.name()),
            (Kind::Dot, _) if token.is_name() => {
                names.pop();
                names.push(token.name());
            }
            (_, Kind::Comma | Kind::Dot) => {}
            _ if token.text == "*" => continue,
            _ => break,
        }
        after = token.kind;
    }
    names
}
