//! `/metrics` behind a password: who does not know it learns nothing.

use actix_web::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry_actix::OpsScope;

use super::{alone, assert_free_of};
use crate::support::{Answer, TestResult, TestServer, World, ask, get_without_tenant, offline};

async fn ask_with(app: &TestServer, authorization: &[&[u8]]) -> Answer {
    let mut request = b"GET /metrics HTTP/1.1\r\nhost: x".to_vec();
    for value in authorization {
        request.extend_from_slice(b"\r\nauthorization: ");
        request.extend_from_slice(value);
    }
    ask(app, request).await
}

#[tokio::test]
async fn lets_in_who_knows_it() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let scope = OpsScope::new(manager.clone()).basic_auth("prom", "pa:ss wörd");
    let app = alone(scope.into_service()?)?;
    let right = STANDARD.encode("prom:pa:ss wörd");
    for scheme in ["Basic", "basic", "BASIC"] {
        let answer = ask_with(&app, &[format!("{scheme} {right}").as_bytes()]).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
        assert!(answer.body.contains("tenantry_connections_max 20"), "{}", answer.body);
    }

    let right = format!("Basic {right}");
    let encoded = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let wrong = [
        encoded("prom:wrong"),
        encoded("prom:pa:ss wörd "),
        encoded("other:pa:ss wörd"),
        encoded(""),
        right.replace("Basic ", "Bearer "),
        right.replace("Basic ", "Basic"),
    ];
    let malformed: [&[u8]; 5] = [b"", b"Basic", b"Basic \xff\xfe", b"\xff\xfe\xfd", b"Basic ===="];
    for value in wrong.iter().map(String::as_bytes).chain(malformed) {
        assert_refused(&ask_with(&app, &[value]).await);
    }
    assert_refused(&ask_with(&app, &[]).await);
    assert_refused(&ask_with(&app, &[right.as_bytes(), right.as_bytes()]).await);

    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(get_without_tenant(&app, path).await.status, StatusCode::OK, "{path}");
    }
    manager.close().await;
    Ok(())
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let challenge = r#"Basic realm="metrics", charset="UTF-8""#;
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.problem()["title"], "Unauthorized");
    assert_free_of(answer, &["prom", "tenantry_", "pa:ss"]);
}

#[tokio::test]
async fn shows_up_nowhere() -> TestResult {
    let scope = OpsScope::new(offline(["acme"])).basic_auth("mallory", "hunter2");
    let configured = format!("{scope:?}");
    let served = format!("{:?}", scope.into_service()?);
    for shown in [configured, served] {
        for secret in ["mallory", "hunter2", &STANDARD.encode("mallory:hunter2")] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("BasicAuth"), "{shown}");
    }
    Ok(())
}
