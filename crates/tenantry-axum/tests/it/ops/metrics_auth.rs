//! `/metrics` behind a password: who does not know it learns nothing.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry_axum::OpsRoutes;

use super::assert_free_of;
use crate::support::{Answer, TestResult, World, get_without_tenant, offline, send};

async fn ask(app: &Router, authorization: &[&[u8]]) -> Answer {
    let mut request = Request::get("/metrics");
    for value in authorization {
        let value = HeaderValue::from_bytes(value).expect("the header is sound");
        request = request.header("authorization", value);
    }
    send(app, request.body(Body::empty()).expect("the request is sound")).await
}

#[tokio::test]
async fn lets_in_who_knows_it() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let app: Router =
        OpsRoutes::new(manager.clone()).basic_auth("prom", "pa:ss wörd").into_router()?;
    let right = STANDARD.encode("prom:pa:ss wörd");
    for scheme in ["Basic", "basic", "BASIC"] {
        let answer = ask(&app, &[format!("{scheme} {right}").as_bytes()]).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
        assert!(answer.body.contains("tenantry_connections_max 20"), "{}", answer.body);
    }

    let right = format!("Basic {right}");
    let encoded = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let wrong = [
        encoded("prom:wrong"),
        encoded("prom:pa:ss wörd "),
        encoded("other:pa:ss wörd"),
        encoded("prom"),
        encoded(""),
        right.replace("Basic ", "Bearer "),
        right.replace("Basic ", "Basic"),
    ];
    let malformed: [&[u8]; 7] = [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic \xff\xfe",
        b"\xff\xfe\xfd\xfc\xfb\xfa",
        b"Basic ====",
        b"Basi\xc3 ",
    ];
    for value in wrong.iter().map(String::as_bytes).chain(malformed) {
        assert_refused(&ask(&app, &[value]).await);
    }
    assert_refused(&ask(&app, &[]).await);
    assert_refused(&ask(&app, &[right.as_bytes(), right.as_bytes()]).await);

    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(get_without_tenant(&app, path).await.status, StatusCode::OK, "{path}");
    }
    manager.close().await;
    Ok(())
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="metrics", charset="UTF-8""#);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.problem()["title"], "Unauthorized");
    assert_free_of(answer, &["prom", "tenantry_", "pa:ss"]);
}

#[tokio::test]
async fn shows_up_nowhere() -> TestResult {
    let routes = OpsRoutes::new(offline(["acme"])).basic_auth("prom", "hunter2");
    let shown = format!("{routes:?}");
    for secret in ["prom", "hunter2", &STANDARD.encode("prom:hunter2")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("BasicAuth"), "{shown}");
    Ok(())
}
