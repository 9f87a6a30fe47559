//! Runs the program and sends it good and bad tokens and cookies.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use example_support::testing::{Program, Server, works_as_shown};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const SECRET: &str = "a secret of this test, 32 bytes or more";

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_sessions"))
}

fn start(database: &DevDatabase) -> Server {
    program().database(database.url()).env("JWT_SECRET", SECRET).start()
}

/// Asks for the notes, with a header of a tenant that must not count.
fn notes(server: &Server, token: Option<&str>, tenant: &str) -> (u16, Value) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("x-tenant-id", tenant)];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let answer = server.get("/api/notes", &headers);
    if answer.status == 401 {
        assert!(answer.head.contains("\r\nwww-authenticate: bearer"), "{}", answer.head);
    }
    (answer.status, answer.json())
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    now.as_secs() as i64 + seconds
}

fn sign(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).expect("claims can be signed")
}

fn claims(sub: &str, tenant: &str) -> Value {
    json!({ "sub": sub, "tenant": tenant, "exp": in_seconds(600) })
}

fn token(sub: &str, tenant: &str) -> String {
    sign(&claims(sub, tenant), Algorithm::HS256, SECRET)
}

#[tokio::test]
async fn gives_each_token_its_own_tenant_and_nothing_else() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    for (sub, tenant, status) in [
        ("ada", "acme", 200),
        ("grace", "acme", 200),
        ("grace", "globex", 200),
        ("bob", "globex", 200),
        // Right tokens of people who are members elsewhere.
        ("ada", "globex", 403),
        ("bob", "acme", 403),
        ("eve", "acme", 403),
        ("ada", "nobody", 404),
        ("ada", "a b", 400),
        ("ada", "", 400),
    ] {
        for forged in ["acme", "globex"] {
            let (answered, body) = notes(&server, Some(&token(sub, tenant)), forged);
            assert_eq!(answered, status, "{sub} {tenant}: {body}");
            if status == 200 {
                assert_eq!(body, json!([format!("a note of {tenant}")]));
            } else {
                assert!(!body.to_string().contains("a note"), "{body}");
            }
        }
    }
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn refuses_every_token_that_is_not_good() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    let good = token("ada", "acme");
    assert_eq!(notes(&server, Some(&good), "acme").0, 200);

    let parts: Vec<_> = good.split('.').collect();
    let other_claims = BASE64.encode(claims("ada", "globex").to_string());
    let no_algorithm = BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let expired = json!({ "sub": "ada", "tenant": "acme", "exp": in_seconds(-3600) });
    let endless = json!({ "sub": "ada", "tenant": "acme" });
    let without_tenant = json!({ "sub": "ada", "exp": in_seconds(600) });
    let other_secret = "another secret, which is as long as that";
    for (what, bad) in [
        ("forged", sign(&claims("ada", "acme"), Algorithm::HS256, other_secret)),
        ("changed", format!("{}.{other_claims}.{}", parts[0], parts[2])),
        ("unsigned", format!("{}.{}.", parts[0], parts[1])),
        ("of no algorithm", format!("{no_algorithm}.{}.", parts[1])),
        ("of another algorithm", sign(&claims("ada", "acme"), Algorithm::HS512, SECRET)),
        ("expired", sign(&expired, Algorithm::HS256, SECRET)),
        ("endless", sign(&endless, Algorithm::HS256, SECRET)),
        ("without a tenant", sign(&without_tenant, Algorithm::HS256, SECRET)),
        ("no token", "acme".to_owned()),
        ("empty", String::new()),
    ] {
        let (status, body) = notes(&server, Some(&bad), "acme");
        assert_eq!(status, 401, "{what}: {body}");
        assert_eq!(body["detail"], "a valid token is needed", "{what}");
    }
    assert_eq!(notes(&server, None, "acme").0, 401);
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn lets_nobody_in_who_was_removed_after_the_token_was_signed() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    let ada = token("ada", "acme");
    assert_eq!(notes(&server, Some(&ada), "acme").0, 200);
    let mut admin = PgConnection::connect(database.url()).await?;
    sqlx::query("delete from tenant_acme.members where name = 'ada'").execute(&mut admin).await?;
    assert_eq!(notes(&server, Some(&ada), "acme").0, 403);
    admin.close().await?;
    server.stop();
    database.close().await?;
    Ok(())
}

/// Sends a request to the routes for browsers. Returns the status, and the cookie that was set.
fn browse(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, Option<String>) {
    let answer = server.request(method, path, headers, body);
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split_once(';'));
    (answer.status, cookie.map(|(cookie, _)| cookie.to_owned()))
}

/// Signs in, with the cookie of a session that may have begun before.
fn sign_in(server: &Server, name: &str, tenant: &str, cookie: &str) -> (u16, Option<String>) {
    let headers =
        [("x-tenant-id", tenant), ("content-type", "application/json"), ("cookie", cookie)];
    browse(server, "POST", "/sign-in", &headers, &json!({ "name": name }).to_string())
}

#[tokio::test]
async fn a_cookie_is_good_for_the_tenant_that_it_was_made_for() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    assert_eq!(sign_in(&server, "bob", "acme", ""), (403, None));
    assert_eq!(sign_in(&server, "bob", "nobody", ""), (404, None));
    let (status, cookie) = sign_in(&server, "grace", "acme", "");
    let cookie = cookie.expect("signing in sets a cookie");
    assert_eq!(status, 204);
    let read = |cookie: &str, tenant: &str| {
        browse(&server, "GET", "/notes", &[("cookie", cookie), ("x-tenant-id", tenant)], "").0
    };
    // She is a member of both, and has signed in to one.
    let answers = ["acme", "globex", "nobody"].map(|tenant| read(&cookie, tenant));
    assert_eq!(answers, [200, 403, 403]);
    assert_eq!(browse(&server, "GET", "/notes", &[("cookie", &cookie)], "").0, 400);
    for none in ["", "id=forged", "id="] {
        assert_eq!(read(none, "acme"), 401, "{none:?}");
    }
    assert_eq!(notes(&server, None, "acme").0, 401, "a cookie is no token");

    // Signing in again makes another session, and the old one is gone.
    let (status, other) = sign_in(&server, "grace", "globex", &cookie);
    let other = other.expect("signing in sets a cookie");
    assert_eq!((status, read(&cookie, "acme")), (204, 401));
    assert_eq!((read(&other, "globex"), read(&other, "acme")), (200, 403));
    let headers = [("cookie", other.as_str()), ("x-tenant-id", "globex")];
    assert_eq!(browse(&server, "POST", "/sign-out", &headers, "").0, 204);
    assert_eq!(read(&other, "globex"), 401);
    server.stop();
    database.close().await?;
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
