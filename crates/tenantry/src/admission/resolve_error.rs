use crate::tenant::ParseTenantIdError;

/// Why what a request says is not a tenant id.
///
/// The messages are sent to the client. They never repeat what the request has said, except for a
/// single escaped character.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text breaks the rules of a [`TenantId`](crate::TenantId).
    #[error("{0}")]
    Invalid(#[from] ParseTenantIdError),
    /// The bytes are no text.
    #[error("tenant id is not text")]
    NotText,
    /// The request names two tenants, or two hosts.
    #[error("the request contradicts itself about its tenant")]
    Contradiction,
    /// The path can be read in two ways.
    #[error(
        "the path of the request is not in normal form: letters, digits, '-', '.' and '_' need no \
         encoding, and one slash separates segments"
    )]
    Path,
    /// The host is none.
    #[error("the host of the request is malformed")]
    Host,
    /// The host has more than one label before the domain.
    #[error("the host has more than one label before the domain")]
    TooDeep,
    /// What a resolver of the application says. The text cannot be made from the request.
    #[error("{0}")]
    Other(&'static str),
}

crate::error_report::readable_debug!(ResolveError);
