//! `/metrics` behind a password reveals nothing without it.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    OpsSettings, ServesOps,
    stage::{Stage, assert_free_of},
};
use crate::{
    client::{Answer, get},
    world::World,
};

/// The scheme is case-insensitive. Everything but the right credentials, once, is refused; the other routes stay open.
pub async fn metrics_need_the_password<S: ServesOps>() {
    let world = World::new().await;
    let settings =
        OpsSettings { basic_auth: Some(("prom", "pa:ss wörd")), ..OpsSettings::default() };
    let stage = Stage::with::<S>(world.manager(), settings).await;
    let right = STANDARD.encode("prom:pa:ss wörd");
    for scheme in ["Basic", "basic", "BASIC"] {
        let answer = metrics_with(&stage, &[format!("{scheme} {right}").as_bytes()]).await;
        assert_eq!(answer.status, 200, "{scheme}");
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
    let malformed: [&[u8]; 8] = [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic \xff\xfe",
        b"\xff\xfe\xfd",
        b"\xff\xfe\xfd\xfc\xfb\xfa",
        b"Basic ====",
        b"Basi\xc3 ",
    ];
    for value in wrong.iter().map(String::as_bytes).chain(malformed) {
        assert_refused(&metrics_with(&stage, &[value]).await);
    }
    assert_refused(&metrics_with(&stage, &[]).await);
    assert_refused(&metrics_with(&stage, &[right.as_bytes(), right.as_bytes()]).await);

    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(stage.get(path).await.status, 200, "{path}");
    }
    stage.end().await;
}

async fn metrics_with(stage: &Stage, authorization: &[&[u8]]) -> Answer {
    let request = authorization
        .iter()
        .fold(get("/metrics"), |request, value| request.header("authorization", value));
    request.send(&stage.server).await
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 401);
    let challenge = r#"Basic realm="metrics", charset="UTF-8""#;
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.problem()["title"], "Unauthorized");
    assert_free_of(answer, &["prom", "tenantry_", "pa:ss"]);
}
