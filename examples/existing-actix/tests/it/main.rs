//! Runs the program, and checks that what its README shows is the case.

use example_support::testing::{Program, works_as_shown};
use serde_json::{Value, json};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_existing-actix"))
}

/// The difference in the README, too.
#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn each_tenant_has_its_own_subscriptions() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let ada = json!({ "email": "ada@example.com" });
    let subscribe = |tenant| {
        let created = server.send("POST", "/subscriptions", Some(tenant), Some(&ada));
        assert_eq!(created.status, 201, "{}", created.body);
        created.json().as_str().expect("it is a token").to_owned()
    };
    let (of_acme, _) = (subscribe("acme"), subscribe("globex"));
    let confirm = |tenant, token: &str| {
        let path = format!("/subscriptions/{token}/confirmation");
        server.send("POST", &path, Some(tenant), None).status
    };
    assert_eq!(confirm("globex", &of_acme), 404);
    assert_eq!(confirm("acme", &of_acme), 204);
    let list = |tenant| server.send("GET", "/admin/subscriptions", Some(tenant), None).json();
    let one = |confirmed| json!([{ "email": "ada@example.com", "confirmed": confirmed }]);
    assert_eq!((list("acme"), list("globex")), (one(true), one(false)));
    let path = "/admin/subscriptions/ada@example.com";
    assert_eq!(server.send("DELETE", path, Some("globex"), None).status, 204);
    assert_eq!((list("acme"), list("globex")), (one(true), Value::Array(Vec::new())));
    server.stop();
    database.close().await?;
    Ok(())
}

/// The middleware is around the whole application, and only handlers that ask for a tenant need one.
#[tokio::test]
async fn what_asks_for_no_tenant_is_as_before() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    for (path, tenant, status) in [
        ("/", None, 200),
        ("/health", None, 200),
        ("/health", Some("acme"), 200),
        // A tenant that is named has to be one.
        ("/health", Some("nobody"), 404),
        ("/health", Some("a b"), 400),
        ("/nowhere", None, 404),
        ("/nowhere", Some("acme"), 404),
        ("/admin/nowhere", None, 404),
        ("/admin/subscriptions", None, 400),
    ] {
        let answer = server.send("GET", path, tenant, None);
        assert_eq!(answer.status, status, "{path} {tenant:?}: {}", answer.body);
    }
    assert!(server.send("GET", "/", None, None).head.contains("x-service: newsletter"));
    server.stop();
    database.close().await?;
    Ok(())
}
