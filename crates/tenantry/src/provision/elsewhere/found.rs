//! What is there of a tenant's database, and what to do next about it.

use super::super::mark::Mark;

/// A database, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) oid: u32,
    pub(super) comment: Option<String>,
    pub(super) allows_connections: bool,
    /// An interrupted `drop database` has left it unusable.
    pub(super) is_broken: bool,
}

/// The next step of making a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Create it under its provisional name, closed to connections.
    Create,
    /// Mark it, and give it the tenant's name.
    Name,
    /// Grant the privileges, and allow connections.
    Open,
    /// It is ready.
    Nothing,
    /// Its name is that of another database.
    Refuse,
}

impl Database {
    /// Returns `true` if a creation has made it.
    pub(super) fn is_of(&self, mark: Mark) -> bool {
        self.comment.as_deref() == Some(mark.comment().as_str())
    }
}

/// Decides by the databases that have the tenant's name and the provisional name.
pub(super) fn next(named: Option<&Database>, provisional: Option<&Database>, mark: Mark) -> Next {
    match (named, provisional) {
        (Some(named), _) if !named.is_of(mark) || named.is_broken => Next::Refuse,
        (Some(named), _) if named.allows_connections => Next::Nothing,
        (Some(_), _) => Next::Open,
        (None, Some(_)) => Next::Name,
        (None, None) => Next::Create,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(comment: Option<&str>, allows_connections: bool) -> Database {
        let comment = comment.map(ToOwned::to_owned);
        Database { oid: 1, comment, allows_connections, is_broken: false }
    }

    #[test]
    fn each_state_has_its_next_step() {
        let mark = Mark::new();
        let ours = mark.comment();
        let (closed, open) = (database(Some(&ours), false), database(Some(&ours), true));
        let new = database(None, false);
        assert_eq!(next(None, None, mark), Next::Create);
        assert_eq!(next(None, Some(&new), mark), Next::Name);
        assert_eq!(next(None, Some(&closed), mark), Next::Name);
        assert_eq!(next(Some(&closed), None, mark), Next::Open);
        assert_eq!(next(Some(&open), None, mark), Next::Nothing);
    }

    #[test]
    fn a_database_of_someone_else_is_never_used() {
        let mark = Mark::new();
        let other = Mark::new().comment();
        for comment in [None, Some("a database of the accountants"), Some(other.as_str())] {
            for provisional in [None, Some(&database(None, false))] {
                let taken = database(comment, true);
                assert_eq!(next(Some(&taken), provisional, mark), Next::Refuse);
            }
        }
        let broken = Database { is_broken: true, ..database(Some(&mark.comment()), true) };
        assert_eq!(next(Some(&broken), None, mark), Next::Refuse);
    }
}
