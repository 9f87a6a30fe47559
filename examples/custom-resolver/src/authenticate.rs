//! Who is it? The middleware outside of the tenant layer.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::Response,
};
use tenantry_axum::Problem;

use crate::token::Keys;

/// Puts the claims of a good token into the extensions. Without one, the request ends here.
pub(crate) async fn authenticate(
    State(keys): State<Keys>,
    mut request: Request,
    next: Next,
) -> Response {
    let claims = match bearer(request.headers()).map(|token| keys.verify(token)) {
        Some(Ok(claims)) => claims,
        Some(Err(error)) => {
            tracing::info!(%error, "token refused");
            return unauthorized();
        }
        None => return unauthorized(),
    };
    request.extensions_mut().insert(claims);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Says the same of every token that is not good: why it is not helps only who has forged it.
fn unauthorized() -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED).detail("a valid token is needed");
    let mut response = problem.to_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
