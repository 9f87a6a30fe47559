use std::time::Duration;

/// Options for reading the database's activity.
///
/// # Examples
///
/// See [`TenantManager::activity`](crate::TenantManager::activity).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing until they are passed to a manager"]
pub struct ActivityOptions {
    pub(super) slow_after: Duration,
    pub(super) most_slow: usize,
    pub(super) text_length: u16,
    pub(super) top_statements: usize,
    pub(super) server_timeout: Duration,
}

impl Default for ActivityOptions {
    fn default() -> Self {
        Self {
            slow_after: Duration::from_secs(1),
            most_slow: 20,
            text_length: 200,
            top_statements: 0,
            server_timeout: Duration::from_secs(5),
        }
    }
}

impl ActivityOptions {
    /// Sets how long a statement must have been running to be listed as slow. Default: 1 s.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = time;
        self
    }

    /// Sets how many slow statements are listed, the longest first. Default: 20.
    pub fn most_slow(mut self, statements: usize) -> Self {
        self.most_slow = statements;
        self
    }

    /// Sets the number of characters after which the text of a statement is truncated. Default: 200.
    ///
    /// The text is as sent by the application: literals in it may be personal data.
    pub fn text_length(mut self, characters: u16) -> Self {
        self.text_length = characters;
        self
    }

    /// Sets how many statements of `pg_stat_statements` are listed, by total time. Default: 0, the
    /// view is not read.
    ///
    /// The server reads a file that contains the text of all statements: do not do this every
    /// second.
    pub fn top_statements(mut self, statements: usize) -> Self {
        self.top_statements = statements;
        self
    }

    /// Sets how long each server may take. Default: 5 s. All servers are read at the same time.
    ///
    /// One of several servers that takes longer is reported in [`Activity::servers`](super::Activity::servers)
    /// with that reason, and the others are unaffected. If there is no other, the reading fails with
    /// [`Timeout`](crate::ErrorKind::Timeout).
    pub fn server_timeout(mut self, time: Duration) -> Self {
        self.server_timeout = time;
        self
    }
}
