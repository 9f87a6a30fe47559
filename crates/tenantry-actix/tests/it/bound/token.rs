//! JSON Web Tokens, verified by a middleware.

use actix_web::{
    App, Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::{Next, from_fn},
    web::{self, ReqData},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use tenantry::TenantId;
use tenantry_actix::{Db, DbError, TenantMiddleware};

use super::{ADMIN, assert_not_bound, assert_served, name_of, who_am_i, world_with_admins};
use crate::support::{TestResult, serve};

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
async fn verify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let claims = header.and_then(|header| header.strip_prefix("Bearer ")).and_then(|token| {
        let key = DecodingKey::from_secret(SECRET);
        decode::<Claims>(token, &key, &Validation::new(Algorithm::HS256)).ok()
    });
    if let Some(claims) = claims {
        request.extensions_mut().insert(claims.claims);
    }
    next.call(request).await
}

/// Trusts the token alone, as handlers do.
async fn me(Db(db): Db, claims: ReqData<Claims>) -> Result<String, DbError> {
    name_of(&db, &claims.sub).await
}

#[tokio::test]
async fn a_token_of_one_tenant_opens_no_other() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let open = TenantMiddleware::new(manager.clone());
    let bound = open
        .clone()
        .bound_to(|request| TenantId::parse(&request.extensions().get::<Claims>()?.tenant).ok());
    let outside = bound.clone();
    let acme = bearer("acme", SECRET);
    let of_acme = Some(("authorization", acme.as_str()));

    let app =
        serve!(App::new().wrap(open.clone()).wrap(from_fn(verify)).route("/me", web::get().to(me)));
    assert_served(&who_am_i(&app, "acme", of_acme).await, "Ada");
    assert_served(&who_am_i(&app, "globex", of_acme).await, "Grace");

    let app = serve!(
        App::new().wrap(bound.clone()).wrap(from_fn(verify)).route("/me", web::get().to(me))
    );
    assert_served(&who_am_i(&app, "acme", of_acme).await, "Ada");
    for tenant in ["globex", "nobody", "frozen"] {
        assert_not_bound(&who_am_i(&app, tenant, of_acme).await);
    }
    let forged = bearer("acme", b"another secret, which is as long as that");
    for header in [None, Some(("authorization", forged.as_str()))] {
        assert_not_bound(&who_am_i(&app, "acme", header).await);
    }

    // Outside of what verifies the token, nobody passes.
    let app = serve!(
        App::new().wrap(from_fn(verify)).wrap(outside.clone()).route("/me", web::get().to(me))
    );
    for tenant in ["acme", "globex"] {
        assert_not_bound(&who_am_i(&app, tenant, of_acme).await);
    }
    manager.close().await;
    Ok(())
}
