//! The route that creates a tenant.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tenantry::{
    Error, ErrorKind,
    provision::{CreateOptions, Created, Provisioner},
};
use tenantry_axum::{DbError, Problem};

#[derive(Deserialize)]
pub(crate) struct SignUp {
    /// The tenant's id in requests.
    id: String,
    company: String,
}

/// Provisions a tenant. Once the response arrives, the tenant is served.
pub(crate) async fn sign_up(
    State(provisioner): State<Provisioner>,
    Json(SignUp { id, company }): Json<SignUp>,
) -> Result<(StatusCode, Json<Created>), Refusal> {
    let options = CreateOptions::default().attributes(json!({ "company": company }));
    let created = provisioner.create(id, options).await.map_err(Refusal)?;
    tracing::info!(tenant = %created.tenant_id, how = ?created.how, took = ?created.duration, "signed up");
    Ok((StatusCode::CREATED, Json(created)))
}

/// The reason why the sign-up failed.
pub(crate) struct Refusal(Error);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self.0.kind() {
            ErrorKind::TenantExists => (StatusCode::CONFLICT, "the id is taken"),
            ErrorKind::InvalidTenantId => (
                StatusCode::BAD_REQUEST,
                "an id has 1 to 56 letters, digits, - and _, and begins with a letter or a digit",
            ),
            // Only the log contains the database's message.
            _ => return DbError::from(self.0).into_response(),
        };
        Problem::new(status).detail(detail).to_response()
    }
}
