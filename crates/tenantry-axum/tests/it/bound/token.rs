//! JSON Web Tokens, verified by a layer.

use axum::{
    Extension, Router,
    extract::Request,
    http::header::AUTHORIZATION,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tenantry::TenantId;
use tenantry_axum::{Db, DbError, TenantLayer};

use super::{ADMIN, assert_not_bound, assert_served, name_of, who_am_i, world_with_admins};
use crate::support::TestResult;

const SECRET: &[u8] = b"a secret of this test, 32 bytes or more";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    sub: String,
    tenant: String,
    exp: u64,
}

/// Makes the value of `authorization` for the administrator of a tenant.
fn bearer(tenant: &str, secret: &[u8]) -> String {
    let claims = Claims { sub: ADMIN.to_owned(), tenant: tenant.to_owned(), exp: 1 << 40 };
    let key = EncodingKey::from_secret(secret);
    let token = encode(&Header::new(Algorithm::HS256), &claims, &key);
    format!("Bearer {}", token.expect("claims can be signed"))
}

/// Puts the claims of a good token into the extensions.
async fn verify(mut request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let claims = header.and_then(|header| header.strip_prefix("Bearer ")).and_then(|token| {
        let key = DecodingKey::from_secret(SECRET);
        decode::<Claims>(token, &key, &Validation::new(Algorithm::HS256)).ok()
    });
    if let Some(claims) = claims {
        request.extensions_mut().insert(claims.claims);
    }
    next.run(request).await
}

/// Trusts the token alone, as handlers do.
async fn me(Db(db): Db, Extension(claims): Extension<Claims>) -> Result<String, DbError> {
    name_of(&db, &claims.sub).await
}

#[tokio::test]
async fn a_token_of_one_tenant_opens_no_other() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let layer = TenantLayer::new(manager.clone());
    let me = Router::new().route("/me", get(me));
    let acme = bearer("acme", SECRET);
    let of_acme = Some(("authorization", acme.as_str()));

    let open = me.clone().layer(layer.clone()).layer(from_fn(verify));
    assert_served(&who_am_i(&open, "acme", of_acme).await, "Ada");
    assert_served(&who_am_i(&open, "globex", of_acme).await, "Grace");

    let layer =
        layer.bound_to(|parts| TenantId::parse(&parts.extensions.get::<Claims>()?.tenant).ok());
    let bound = me.clone().layer(layer.clone()).layer(from_fn(verify));
    assert_served(&who_am_i(&bound, "acme", of_acme).await, "Ada");
    for tenant in ["globex", "nobody", "frozen"] {
        assert_not_bound(&who_am_i(&bound, tenant, of_acme).await);
    }
    let forged = bearer("acme", b"another secret, which is as long as that");
    for header in [None, Some(("authorization", forged.as_str()))] {
        assert_not_bound(&who_am_i(&bound, "acme", header).await);
    }

    // Outside of what verifies the token, nobody passes.
    let outside = me.layer(from_fn(verify)).layer(layer);
    for tenant in ["acme", "globex"] {
        assert_not_bound(&who_am_i(&outside, tenant, of_acme).await);
    }
    manager.close().await;
    Ok(())
}
