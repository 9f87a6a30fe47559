use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use tenantry::ErrorReport;
use tenantry_tower::{Problem, Rejection};

use crate::error::DbError;

/// The reason why [`Db`](crate::Db), [`CurrentTenant`](crate::CurrentTenant) or
/// [`Shared`](crate::Shared) was rejected.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantRejection {
    /// The route is not inside a `TenantLayer`: 500. Only the log explains it.
    #[error("no TenantLayer around this route: add .layer(TenantLayer::new(manager)) after it")]
    MissingLayer,
    /// [`Shared`](crate::Shared) on a route outside of any `TenantLayer` and without a manager in
    /// an `Extension`: 500. Only the log explains it.
    #[error(
        "Shared(db) needs a TenantLayer around this route, or the manager: add \
         .layer(Extension(manager)) after the route"
    )]
    MissingManager,
    /// The layer is [optional](crate::TenantLayer::optional), the request has no tenant id, and the
    /// handler needs one: 400.
    #[error("the request does not name a tenant")]
    NoTenant,
}

impl fmt::Debug for TenantRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ErrorReport::new(self), f)
    }
}

impl TenantRejection {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MissingLayer | Self::MissingManager => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoTenant => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for TenantRejection {
    fn into_response(self) -> Response {
        match self {
            Self::MissingLayer | Self::MissingManager => {
                tracing::error!("{self}");
                Problem::new(self.status()).to_response()
            }
            Self::NoTenant => Rejection::missing().problem().to_response(),
        }
    }
}

/// The reason why [`Tx`](crate::Tx), or the transaction of a [`TxWith`](crate::TxWith), was
/// rejected.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TxRejection {
    /// There is no tenant.
    #[error(transparent)]
    Tenant(#[from] TenantRejection),
    /// The body of a [`TxWith`](crate::TxWith) was not read to its end, so the transaction would
    /// wait for the client: 500. Only the log explains it.
    #[error(
        "the body of TxWith<B> was not read to its end, and a transaction must not wait for it: \
         let B read all of it, or take Db and call begin after reading the body"
    )]
    UnreadBody,
    /// The transaction could not begin; 503 if no connection was available in time.
    #[error(transparent)]
    Begin(#[from] DbError),
}

impl fmt::Debug for TxRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ErrorReport::new(self), f)
    }
}

impl TxRejection {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Tenant(rejection) => rejection.status(),
            Self::UnreadBody => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Begin(error) => error.status(),
        }
    }
}

impl IntoResponse for TxRejection {
    fn into_response(self) -> Response {
        match self {
            Self::Tenant(rejection) => rejection.into_response(),
            Self::UnreadBody => {
                tracing::error!("{self}");
                Problem::new(self.status()).to_response()
            }
            Self::Begin(error) => error.into_response(),
        }
    }
}

/// The reason why a [`TxWith`](crate::TxWith) was rejected.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TxWithRejection<R> {
    /// The body's own rejection, whose response is sent unchanged.
    #[error(transparent)]
    Body(R),
    /// There is no tenant, or no transaction.
    #[error(transparent)]
    Tx(#[from] TxRejection),
}

impl<R: fmt::Debug> fmt::Debug for TxWithRejection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(rejection) => fmt::Debug::fmt(rejection, f),
            Self::Tx(rejection) => fmt::Debug::fmt(rejection, f),
        }
    }
}

impl<R: IntoResponse> IntoResponse for TxWithRejection<R> {
    fn into_response(self) -> Response {
        match self {
            Self::Body(rejection) => rejection.into_response(),
            Self::Tx(rejection) => rejection.into_response(),
        }
    }
}
