use std::io;

use serde::Serialize;

/// The coarse class of an error: the label of error counters, and the basis for retry decisions.
///
/// It is derived from the SQLSTATE
/// ([PostgreSQL, appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)) and
/// the kind of an I/O error, never from a message: messages are translated, and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// The connection could not be established, or broke: a refused, reset or timed-out socket, a
    /// name that does not resolve, an interrupted TLS handshake, an invalid first response,
    /// SQLSTATE class 08 from a pooler. Transient.
    ///
    /// Class 08 from PostgreSQL itself is [`Other`](Self::Other): it arrives over a working
    /// connection.
    Connection,
    /// The server is out of connection slots: 53300. Transient.
    TooManyConnections,
    /// The server is starting or stopping, or terminated the session: 57P01, 57P02, 57P03.
    /// Transient.
    Shutdown,
    /// The server refused the login: class 28.
    Authentication,
    /// The TLS negotiation failed, for example because of a certificate.
    Tls,
    /// A worker of a Citus cluster does not answer its coordinator, or ends the sessions on it: class 08, 53300 and
    /// 57P01 to 57P03 over a working connection to the coordinator. Transient. It concerns the tenants of that worker,
    /// and changes to any tenant's schema.
    ClusterNode,
    /// The transaction conflicted with another one: class 40. It may succeed when it is run again
    /// as a whole, which only its owner can do.
    Conflict,
    /// The statement was cancelled or took too long: 57014, the statement timeout of the pool, or a
    /// caller that disconnected.
    Cancelled,
    /// The server is out of a resource: the rest of class 53, and class 54.
    Resources,
    /// A constraint was violated: class 23.
    Constraint,
    /// A value is invalid: class 22.
    Data,
    /// The statement is invalid or not allowed: class 42.
    Syntax,
    /// The pool could not provide a connection: a timeout, too many waiting requests, a closed
    /// pool. Transient, unless the pool is closed.
    Pool,
    /// Anything else, such as parameters that sqlx cannot encode.
    Other,
}

impl ErrorClass {
    /// All classes.
    pub(crate) const ALL: [Self; 14] = [
        Self::Connection,
        Self::TooManyConnections,
        Self::Shutdown,
        Self::Authentication,
        Self::Tls,
        Self::ClusterNode,
        Self::Conflict,
        Self::Cancelled,
        Self::Resources,
        Self::Constraint,
        Self::Data,
        Self::Syntax,
        Self::Pool,
        Self::Other,
    ];

    /// Returns the class in snake case, as used in metrics and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::TooManyConnections => "too_many_connections",
            Self::Shutdown => "shutdown",
            Self::Authentication => "authentication",
            Self::Tls => "tls",
            Self::ClusterNode => "cluster_node",
            Self::Conflict => "conflict",
            Self::Cancelled => "cancelled",
            Self::Resources => "resources",
            Self::Constraint => "constraint",
            Self::Data => "data",
            Self::Syntax => "syntax",
            Self::Pool => "pool",
            Self::Other => "other",
        }
    }

    /// Returns `true` if another connect may succeed without any intervention.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::TooManyConnections
                | Self::Shutdown
                | Self::ClusterNode
                | Self::Pool
        )
    }

    /// Classifies a SQLSTATE.
    pub(super) fn of_sqlstate(code: &str) -> Self {
        match code {
            "53300" => Self::TooManyConnections,
            "57P01" | "57P02" | "57P03" => Self::Shutdown,
            "57014" => Self::Cancelled,
            _ => match code.get(..2) {
                Some("08") => Self::Connection,
                Some("22") => Self::Data,
                Some("23") => Self::Constraint,
                Some("28") => Self::Authentication,
                Some("40") => Self::Conflict,
                Some("42") => Self::Syntax,
                Some("53" | "54") => Self::Resources,
                _ => Self::Other,
            },
        }
    }

    /// Classifies an I/O error.
    ///
    /// The list contains the permanent kinds, because some transient ones, such as a name that
    /// cannot be resolved, have no stable kind to match. Refused certificates are reported as
    /// invalid data.
    pub(crate) fn of_io(kind: io::ErrorKind) -> Self {
        use io::ErrorKind as K;
        match kind {
            K::InvalidData => Self::Tls,
            K::PermissionDenied
            | K::InvalidInput
            | K::Unsupported
            | K::OutOfMemory
            | K::AlreadyExists
            | K::Other => Self::Other,
            _ => Self::Connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_by_the_sqlstate() {
        use ErrorClass as C;
        for (code, class, transient) in [
            ("08006", C::Connection, true),
            ("08P01", C::Connection, true),
            ("53300", C::TooManyConnections, true),
            ("53200", C::Resources, false),
            ("57P01", C::Shutdown, true),
            ("57P02", C::Shutdown, true),
            ("57P03", C::Shutdown, true),
            ("57014", C::Cancelled, false),
            ("28P01", C::Authentication, false),
            ("28000", C::Authentication, false),
            ("3D000", C::Other, false),
            ("42601", C::Syntax, false),
            ("42501", C::Syntax, false),
            ("22001", C::Data, false),
            ("23505", C::Constraint, false),
            ("40001", C::Conflict, false),
            ("25006", C::Other, false),
            ("", C::Other, false),
            ("ö", C::Other, false),
        ] {
            let found = ErrorClass::of_sqlstate(code);
            assert_eq!((found, found.is_transient()), (class, transient), "{code}");
        }
    }

    #[test]
    fn goes_by_the_kind_of_io_error() {
        use io::ErrorKind as K;
        for kind in [
            K::ConnectionRefused,
            K::ConnectionReset,
            K::ConnectionAborted,
            K::TimedOut,
            K::BrokenPipe,
            K::UnexpectedEof,
            K::NotFound, // the socket of a server that is not up
        ] {
            assert!(ErrorClass::of_io(kind).is_transient(), "{kind:?}");
        }
        for kind in [K::InvalidData, K::PermissionDenied, K::InvalidInput, K::Unsupported] {
            assert!(!ErrorClass::of_io(kind).is_transient(), "{kind:?}");
        }
    }

    #[test]
    fn has_a_name_for_each_class() {
        let names: std::collections::HashSet<_> = ErrorClass::ALL.map(ErrorClass::as_str).into();
        assert_eq!(names.len(), ErrorClass::ALL.len());
    }
}
