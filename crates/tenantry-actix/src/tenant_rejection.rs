use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use tenantry::ErrorReport;

use crate::{error::DbError, problem::Problem, rejection::Rejection};

/// The reason why [`Db`](crate::Db), [`CurrentTenant`](crate::CurrentTenant) or
/// [`Shared`](crate::Shared) was rejected.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantRejection {
    /// The route is not inside a `TenantMiddleware`: 500. Only the log explains it.
    #[error(
        "no TenantMiddleware around this route: add .wrap(TenantMiddleware::new(manager)) to its \
         app, scope or resource"
    )]
    MissingMiddleware,
    /// [`Shared`](crate::Shared) on a route outside of any `TenantMiddleware` and without a manager
    /// in `app_data`: 500. Only the log explains it.
    #[error(
        "Shared(db) needs a TenantMiddleware around this route, or the manager: add \
         .app_data(manager) to the app"
    )]
    MissingManager,
    /// The middleware is [optional](crate::TenantMiddleware::optional), the request has no tenant id,
    /// and the handler needs one: 400.
    #[error("the request does not name a tenant")]
    NoTenant,
}

impl fmt::Debug for TenantRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ErrorReport::new(self), f)
    }
}

impl ResponseError for TenantRejection {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::MissingMiddleware | Self::MissingManager => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoTenant => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::MissingMiddleware | Self::MissingManager => {
                Problem::new(self.status_code()).to_response()
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
    /// The request has a body that was not read to its end, so the transaction would wait for the
    /// client: 500. Only the log explains it.
    #[error(
        "the request has a body that was not read, and a transaction must not wait for it: take \
         TxWith<B>, where B reads all of it, instead of Tx and every other extractor of the body, \
         or take Db and call begin after reading the body"
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

impl ResponseError for TxRejection {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Tenant(rejection) => rejection.status_code(),
            Self::UnreadBody => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Begin(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Tenant(rejection) => rejection.error_response(),
            // The extractor has written it to the log already, as it does below.
            Self::UnreadBody => Problem::new(self.status_code()).to_response(),
            Self::Begin(error) => error.response(),
        }
    }
}
