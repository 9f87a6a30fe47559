use crate::tenant::ParseTenantIdError;

/// The reason why a request contains no valid tenant id.
///
/// The messages are sent to the client. They never repeat the request's content, except for a
/// single escaped character.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text breaks the rules of a [`TenantId`](crate::TenantId).
    #[error("{0}")]
    Invalid(#[from] ParseTenantIdError),
    /// The bytes are not valid text.
    #[error("tenant id is not text")]
    NotText,
    /// The request names two tenants, or two hosts.
    #[error("the request contradicts itself about its tenant")]
    Contradiction,
    /// The path is ambiguous.
    #[error(
        "the path of the request is not in normal form: letters, digits, '-', '.' and '_' need no \
         encoding, and one slash separates segments"
    )]
    Path,
    /// The host is invalid.
    #[error("the host of the request is malformed")]
    Host,
    /// The host has more than one label before the domain.
    #[error("the host has more than one label before the domain")]
    TooDeep,
    /// An error of a custom resolver. The text cannot be derived from the request.
    #[error("{0}")]
    Other(&'static str),
}

crate::error_report::readable_debug!(ResolveError);
