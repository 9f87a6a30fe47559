//! What is refused of a transaction that is bound for itself, and how it was found at its end.

use super::sql::says_over;
use crate::{
    error::{Error, ErrorKind},
    tenant::Binding,
};

/// Returns a setting of a tenant that would have no effect in the transaction for which it is set.
pub(in crate::pool) fn setting_without_effect(binding: &Binding) -> Option<&str> {
    let is_one = |name: &&str| WITHOUT_EFFECT.iter().any(|of| of.eq_ignore_ascii_case(name));
    binding.settings().iter().map(|(name, _)| name.as_str()).find(is_one)
}

const WITHOUT_EFFECT: [&str; 4] = [
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "idle_session_timeout",
];

/// How a connection was found when it was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Settled {
    Fine,
    /// SQL of the application had ended the transaction of the lease.
    WasOver,
}

/// Returns the error of a transaction that SQL of the application has ended.
pub(in crate::pool) fn over(source: Option<sqlx::Error>) -> Error {
    let attempted = "SQL text has ended the transaction of a lease, and statements after it ran without the tenant's \
                     search path, role and settings; use commit and rollback of the transaction instead";
    let error = Error::new(ErrorKind::BehindPooler, attempted);
    source.into_iter().fold(error, Error::with_source)
}

/// Translates the error of a commit.
pub(in crate::pool) fn explain(error: sqlx::Error) -> sqlx::Error {
    if says_over(&error) { over(Some(error)).into() } else { error }
}
