//! The data that `top` shows: rows of tenants, sorted and filtered, independent of terminal and database.

use std::collections::BTreeMap;

use clap::ValueEnum;

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortBy {
    /// Statements, transactions and leases per second
    Queries,
    /// Sessions bound to the tenant
    Sessions,
    /// Requests that wait for a connection, or sessions that wait for a lock
    Waiting,
    /// Size on disk
    Size,
    /// The longest running statement
    Longest,
    /// The id
    Tenant,
}

impl SortBy {
    pub(super) const ALL: [Self; 6] =
        [Self::Queries, Self::Sessions, Self::Waiting, Self::Size, Self::Longest, Self::Tenant];

    fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// Figures of a tenant. Those that neither the service nor the database reports are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) tenant: String,
    /// Its server, if there are several and it is known.
    pub(super) server: Option<String>,
    pub(super) sessions: Option<f64>,
    pub(super) active: Option<f64>,
    pub(super) queries: Option<f64>,
    pub(super) waiting: Option<f64>,
    /// The duration of the longest running statement, in seconds.
    pub(super) longest: Option<f64>,
    pub(super) bytes: Option<u64>,
}

/// A statement that has been running for a long time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slow {
    pub(super) tenant: String,
    pub(super) server: Option<String>,
    pub(super) seconds: f64,
    pub(super) wait: String,
    pub(super) text: String,
}

/// One reading of the service and the database.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Summary lines.
    pub(super) summary: Vec<String>,
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) slow: Vec<Slow>,
    /// `true` if there are several servers.
    pub(super) has_servers: bool,
    /// What could not be read, and how to make it readable.
    pub(super) unseen: Vec<String>,
}

/// Everything on the screen.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) look: Look,
    pub(super) sort: SortBy,
    pub(super) descending: bool,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    /// The first row that is shown.
    pub(super) offset: usize,
    pub(super) error: Option<String>,
    /// Copies of `look.rows`, in the order of the screen.
    order: Vec<Row>,
}

/// The action of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
}

/// The number of rows that a page key moves by.
const PAGE: usize = 20;

impl Model {
    pub(super) fn new(sort: SortBy, filter: String) -> Self {
        Self {
            look: Look::default(),
            sort,
            descending: sort != SortBy::Tenant,
            filter,
            is_typing: false,
            is_paused: false,
            offset: 0,
            error: None,
            order: Vec::new(),
        }
    }

    /// Applies a new reading, unless the view is paused.
    pub(super) fn update(&mut self, look: Look) {
        if !self.is_paused {
            self.look = look;
            self.error = None;
            self.arrange();
        }
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.order
    }

    /// Performs the action of a key. Returns `true` if the view is to be closed.
    pub(super) fn press(&mut self, key: Key) -> bool {
        if self.is_typing {
            self.type_filter(key);
            return false;
        }
        match key {
            Key::Char('q') | Key::Escape => return true,
            Key::Char('s') => {
                self.sort = self.sort.next();
                self.descending = self.sort != SortBy::Tenant;
            }
            Key::Char('r') => self.descending = !self.descending,
            Key::Char('/') => self.is_typing = true,
            Key::Char('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Up => self.offset = self.offset.saturating_sub(1),
            Key::Down => self.offset += 1,
            Key::PageUp => self.offset = self.offset.saturating_sub(PAGE),
            Key::PageDown => self.offset += PAGE,
            Key::Char(_) | Key::Enter | Key::Backspace => (),
        }
        self.arrange();
        false
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(character) => self.filter.push(character),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown => (),
        }
        self.arrange();
    }

    fn arrange(&mut self) {
        let matching = self.look.rows.values().filter(|row| row.tenant.contains(&self.filter));
        self.order = matching.cloned().collect();
        // Unknown values come last, and equal ones are ordered by id.
        let by: fn(&Row) -> Option<f64> = match self.sort {
            SortBy::Queries => |row| row.queries,
            SortBy::Sessions => |row| row.sessions,
            SortBy::Waiting => |row| row.waiting,
            SortBy::Longest => |row| row.longest,
            #[expect(clippy::cast_precision_loss, reason = "it is for sorting")]
            SortBy::Size => |row| row.bytes.map(|bytes| bytes as f64),
            SortBy::Tenant => |_| None,
        };
        let value = |row: &Row| by(row).unwrap_or(f64::NEG_INFINITY);
        match (self.sort, self.descending) {
            (SortBy::Tenant, true) => self.order.reverse(),
            (SortBy::Tenant, false) => (),
            (_, true) => self.order.sort_by(|one, other| value(other).total_cmp(&value(one))),
            (_, false) => self.order.sort_by(|one, other| value(one).total_cmp(&value(other))),
        }
        self.offset = self.offset.min(self.order.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let row = |tenant: &str, queries: Option<f64>, bytes: u64| {
            let row = Row { tenant: tenant.into(), queries, bytes: Some(bytes), ..Row::default() };
            (tenant.to_owned(), row)
        };
        let rows =
            [row("acme", Some(2.0), 10), row("globex", None, 30), row("hooli", Some(7.0), 20)];
        let mut model = Model::new(SortBy::Queries, String::new());
        model.update(Look { rows: rows.into(), ..Look::default() });
        model
    }

    fn shown(model: &Model) -> Vec<&str> {
        model.rows().iter().map(|row| row.tenant.as_str()).collect()
    }

    #[test]
    fn rows_are_sorted_filtered_and_kept_while_paused() {
        let mut model = model();
        assert_eq!(shown(&model), ["hooli", "acme", "globex"]);
        for _ in 0..3 {
            assert!(!model.press(Key::Char('s')));
        }
        assert_eq!((model.sort, shown(&model)), (SortBy::Size, vec!["globex", "hooli", "acme"]));
        model.press(Key::Char('r'));
        assert_eq!(shown(&model), ["acme", "hooli", "globex"]);
        let ended = "/oq".chars().any(|key| model.press(Key::Char(key)));
        assert!(!ended);
        assert!(shown(&model).is_empty(), "while a filter is typed, q is a letter");
        model.press(Key::Backspace);
        assert_eq!(shown(&model), ["hooli", "globex"]);
        model.press(Key::Enter);
        model.press(Key::Char('p'));
        model.update(Look::default());
        assert_eq!(shown(&model).len(), 2, "it is paused");
        model.press(Key::Char('p'));
        model.update(Look::default());
        assert!(shown(&model).is_empty());
        model.press(Key::PageDown);
        assert_eq!(model.offset, 0);
        assert!(model.press(Key::Char('q')));
    }
}
