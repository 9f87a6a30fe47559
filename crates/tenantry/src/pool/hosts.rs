//! Selection among several hosts.

use std::{fmt, str::FromStr};

/// Required role of a host, like libpq's
/// [`target_session_attrs`](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS).
///
/// Any value except [`Any`](Self::Any) costs one more round trip per connect.
///
/// # Examples
///
/// ```
/// use tenantry::TargetSessionAttrs;
///
/// assert_eq!("read-write".parse(), Ok(TargetSessionAttrs::ReadWrite));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TargetSessionAttrs {
    /// Any host that accepts the connection. The default.
    #[default]
    Any,
    /// Sessions can write: the server is not in recovery, and transactions are read-write by
    /// default.
    ReadWrite,
    /// Sessions cannot write.
    ReadOnly,
    /// The server is not in recovery.
    Primary,
    /// The server is in recovery, like a hot standby.
    Standby,
    /// A server in recovery; any other host if there is none.
    PreferStandby,
}

/// The text is not one of libpq's values of `target_session_attrs`.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be any, read-write, read-only, primary, standby or prefer-standby")]
#[non_exhaustive]
pub struct ParseTargetError;

crate::error_report::readable_debug!(ParseTargetError);

impl FromStr for TargetSessionAttrs {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return Err(ParseTargetError),
        })
    }
}

/// The order in which several hosts are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LoadBalanceHosts {
    /// In the listed order, for each connect. The default.
    #[default]
    Disable,
    /// In a new random order for each connect.
    Random,
}

/// The role that a server reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) in_recovery: bool,
    /// `true` if transactions are read-only by default.
    pub(super) read_only: bool,
}

impl TargetSessionAttrs {
    /// Returns the requirements to try, one round after the other.
    pub(super) fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Returns `true` if a server in recovery is acceptable, so that a refused write is no reason
    /// to look for another one.
    pub(crate) fn wants_standby(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Standby | Self::PreferStandby)
    }

    /// Returns why a server is rejected, or `None` if it is accepted.
    pub(super) fn objection(self, role: Role) -> Option<&'static str> {
        let writes = !role.in_recovery && !role.read_only;
        match self {
            Self::ReadWrite if role.in_recovery => Some("is in recovery"),
            Self::ReadWrite if role.read_only => Some("is read-only by default"),
            Self::ReadOnly if writes => Some("is not read-only"),
            Self::Primary if role.in_recovery => Some("is in recovery"),
            Self::Standby if !role.in_recovery => Some("is not in recovery"),
            _ => None,
        }
    }
}

/// The reason for each host, if none could be used.
#[derive(Debug)]
pub(super) struct NoHost(pub(super) Vec<(String, String)>);

impl fmt::Display for NoHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, said)) in self.0.iter().enumerate() {
            write!(f, "{}{host}: {said}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for NoHost {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_servers_that_libpq_takes() {
        use TargetSessionAttrs as T;
        let [primary, read_only, standby] = [(false, false), (false, true), (true, true)]
            .map(|(in_recovery, read_only)| Role { in_recovery, read_only });
        for (target, takes) in [
            (T::Any, [true, true, true]),
            (T::ReadWrite, [true, false, false]),
            (T::ReadOnly, [false, true, true]),
            (T::Primary, [true, true, false]),
            (T::Standby, [false, false, true]),
        ] {
            let taken = [primary, read_only, standby].map(|role| target.objection(role).is_none());
            assert_eq!(taken, takes, "{target:?}");
        }
    }
}
