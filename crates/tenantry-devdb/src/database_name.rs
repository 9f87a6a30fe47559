//! Names of databases, which consist of harmless characters only.

use std::{
    fmt,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::Error;

/// The prefix of the names of temporary databases.
pub(crate) const PREFIX: &str = "tenantry_dev_";

/// A name that needs no escaping; it exists only if it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseName(String);

impl DatabaseName {
    /// # Errors
    ///
    /// The name is empty, longer than PostgreSQL's 63 bytes, or holds other than `a-z0-9_`.
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if (1..=63).contains(&name.len()) && name.chars().all(is_plain) {
            return Ok(Self(name.to_owned()));
        }
        let text = "1 to 63 characters out of a-z, 0-9 and _ make a name";
        Err(Error::failed(format!("naming a database {name:?}"), text))
    }

    /// A name that no other database has.
    ///
    /// The process id in it shows whether the owner is alive; the random part distinguishes processes of several
    /// machines or containers that use one server.
    pub(crate) fn unique() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let (pid, tag) = (std::process::id(), *PROCESS >> 32);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{PREFIX}{pid}_{n}_{tag:08x}"))
    }

    /// The name of the template with the setup that `setup` identifies.
    pub(crate) fn template(setup: impl Hash) -> Self {
        // Every process must compute the same name, so the hasher's keys must be the fixed ones.
        let mut hasher = DefaultHasher::new();
        setup.hash(&mut hasher);
        Self(format!("tenantry_template_{:016x}", hasher.finish()))
    }

    /// The name of the database that the processes of a scope share for a key.
    pub(crate) fn shared(scope: &str, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(format!("{}{:016x}", Self::shared_prefix(scope), hasher.finish()))
    }

    /// The prefix of the names of all databases that a scope shares.
    pub(crate) fn shared_prefix(scope: &str) -> String {
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        format!("tenantry_test_{:08x}_", hasher.finish() >> 32)
    }

    /// The process that owns a database with a [unique](Self::unique) name.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.0.strip_prefix(PREFIX)?.split('_').next()?.parse().ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes it in double quotes, as an SQL identifier.
impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseName;

    #[test]
    fn only_plain_names_are_names() {
        for name in ["a", "app_2", &"x".repeat(63)] {
            assert_eq!(DatabaseName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "A", "a b", "a\"b", "ä", &"x".repeat(64)] {
            DatabaseName::parse(name).unwrap_err();
        }
    }

    #[test]
    fn unique_names_differ_and_tell_their_owner() {
        let (one, two) = (DatabaseName::unique(), DatabaseName::unique());
        assert_ne!(one, two);
        assert_eq!(one.owner(), Some(std::process::id()));
        assert_eq!(DatabaseName::parse(one.as_str()).unwrap(), one);
        assert_eq!(DatabaseName::template("x").owner(), None);
    }

    #[test]
    fn a_shared_database_is_named_by_scope_and_key() {
        let name = DatabaseName::shared("billing", "a");
        assert_eq!(name, DatabaseName::shared("billing", "a"));
        assert_ne!(name, DatabaseName::shared("billing", "b"));
        assert_ne!(DatabaseName::shared_prefix("billing"), DatabaseName::shared_prefix("shop"));
        assert_eq!(DatabaseName::parse(name.as_str()).unwrap(), name);
    }

    #[test]
    fn a_template_is_named_by_its_setup() {
        assert_eq!(DatabaseName::template("a"), DatabaseName::template("a"));
        assert_ne!(DatabaseName::template("a"), DatabaseName::template("b"));
    }
}
