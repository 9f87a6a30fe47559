//! Authentication: the middleware outside of the tenant layers, which puts the caller into the
//! extensions.

use axum::{
    Extension,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::Response,
};
use tenantry_axum::Problem;
use tower_sessions::Session;

use crate::{
    sign_in::CALLER,
    token::{Caller, Keys},
};

/// Reads the login stored in the session. Without it, the request ends here.
pub(crate) async fn by_session(
    Extension(session): Extension<Session>,
    mut request: Request,
    next: Next,
) -> Response {
    match session.get::<Caller>(CALLER).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(None) => Problem::new(StatusCode::UNAUTHORIZED).detail("sign in first").to_response(),
        // An unavailable store signs nobody out.
        Err(error) => {
            tracing::error!(%error, "cannot read the session");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE).to_response()
        }
    }
}

/// Reads a token signed by this service. Without it, the request ends here.
pub(crate) async fn by_token(
    State(keys): State<Keys>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match bearer(request.headers()).map(|token| keys.verify(token)) {
        Some(Ok(caller)) => caller,
        Some(Err(error)) => {
            tracing::info!(%error, "token rejected");
            return unauthorized();
        }
        None => return unauthorized(),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Gives the same response for every invalid token: the reason would only help a forger.
fn unauthorized() -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED).detail("a valid token is needed");
    let mut response = problem.to_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
