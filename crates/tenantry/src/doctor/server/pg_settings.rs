use std::collections::HashMap;

use crate::{db::SharedDb, error::Error};

/// Settings of the server as a new session of the manager's role has them in this database, in the units of
/// `pg_settings`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(HashMap<String, String>);

impl Settings {
    pub(crate) async fn read(system: &SharedDb) -> Result<Self, Error> {
        let rows = sqlx::query_as(READ).persistent(false).fetch_all(system).await?;
        Ok(Self(rows.into_iter().collect()))
    }

    /// Returns a setting, or nothing if this version of the server does not have it.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns a number, or zero if this version of the server does not have the setting.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Returns `true` if it is `off`.
    pub(crate) fn is_off(&self, name: &str) -> bool {
        self.text(name) == Some("off")
    }

    /// Returns `true` if it is `on`.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name) == Some("on")
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Settings {
    fn from(settings: [(&str, &str); N]) -> Self {
        Self(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

/// `reset_val` is the value after the pool's reset, independent of this session's settings.
const READ: &str = "\
    select s.name, s.reset_val from pg_catalog.pg_settings s \
    where s.name operator(pg_catalog.=) any (array[\
      'autovacuum', 'autovacuum_freeze_max_age', 'autovacuum_max_workers', \
      'autovacuum_multixact_freeze_max_age', 'data_checksums', 'default_transaction_read_only', \
      'fsync', 'full_page_writes', 'idle_in_transaction_session_timeout', 'idle_session_timeout', \
      'ignore_system_indexes', 'lock_timeout', 'max_connections', 'max_locks_per_transaction', \
      'max_prepared_transactions', 'password_encryption', 'reserved_connections', 'row_security', \
      'shared_buffers', 'statement_timeout', 'superuser_reserved_connections', \
      'synchronous_commit', 'synchronous_standby_names', 'tcp_keepalives_idle', \
      'track_activities', 'track_counts', 'transaction_timeout', 'wal_level', \
      'zero_damaged_pages'])";
