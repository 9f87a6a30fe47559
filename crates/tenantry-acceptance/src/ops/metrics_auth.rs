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

const USER: &str = "prom";
const PASSWORD: &str = "pa:ss wörd";

/// The scheme is case-insensitive. Everything but the right credentials, once, is refused; the other routes stay open.
pub async fn metrics_need_the_password<S: ServesOps>() {
    let world = World::new().await;
    let settings = OpsSettings { basic_auth: Some((USER, PASSWORD)), ..OpsSettings::default() };
    let stage = Stage::with::<S>(world.manager(), settings).await;
    let right = credentials(USER, PASSWORD);
    for scheme in ["Basic", "basic", "BASIC"] {
        let answer = metrics_with(&stage, &[&right.replace("Basic", scheme)]).await;
        assert_eq!(answer.status, 200, "{scheme}");
        assert!(answer.body.contains("tenantry_connections_max 20"), "{}", answer.body);
    }
    for value in wrong(&right) {
        assert_refused(&metrics_with(&stage, &[value]).await);
    }
    assert_refused(&metrics_with::<&str>(&stage, &[]).await);
    assert_refused(&metrics_with(&stage, &[&right, &right]).await);
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(stage.get(path).await.status, 200, "{path}");
    }
    stage.end().await;
}

fn credentials(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Returns headers with wrong credentials, another scheme, or no valid UTF-8.
fn wrong(right: &str) -> impl Iterator<Item = Vec<u8>> {
    let wrong = [
        credentials(USER, "wrong"),
        credentials(USER, "pa:ss wörd "),
        credentials("other", PASSWORD),
        format!("Basic {}", STANDARD.encode(USER)),
        format!("Basic {}", STANDARD.encode("")),
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
    wrong.map(String::into_bytes).into_iter().chain(malformed.map(<[u8]>::to_vec))
}

async fn metrics_with<V: AsRef<[u8]>>(stage: &Stage, authorization: &[V]) -> Answer {
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
