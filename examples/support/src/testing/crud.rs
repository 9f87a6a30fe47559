//! What the API of `axum-crud` and `actix-crud` is asked, and what it answers.

use serde_json::{Value, json};
use tenantry_devdb::DevDatabase;

use super::{Server, TestResult};

/// Each tenant has users and the others have not; a second start finds everything as the first one has left it.
///
/// # Errors
///
/// There is no database to work with.
///
/// # Panics
///
/// The API answers otherwise.
///
/// # Cancel safety
///
/// It leaves a database behind until the process ends.
pub async fn serves_two_tenants_and_starts_a_second_time(
    start: impl Fn(&DevDatabase) -> Server,
) -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database);
    for tenant in ["acme", "globex"] {
        users_of(&server, tenant);
    }
    let john = json!({ "email": "john@acme.com", "name": "John" });
    assert_eq!(server.send("POST", "/users", Some("acme"), Some(&john)).status, 201);
    refusals(&server);
    beside_the_tenants(&server);
    server.stop();

    let again = start(&database);
    let names = |tenant| {
        let users = again.send("GET", "/users", Some(tenant), None).json();
        let names = users.as_array().expect("a list").iter().map(|user| user["name"].clone());
        Value::from_iter(names)
    };
    assert_eq!(names("acme"), json!(["Ada", "Grace", "John"]));
    assert_eq!(names("globex"), json!(["Ada", "Grace"]));
    let plans = again.send("GET", "/plans", None, None).json();
    assert_eq!(plans.as_array().map(Vec::len), Some(3));
    again.stop();
    database.close().await?;
    Ok(())
}

/// Creates, reads, changes and deletes a user of the same email in each tenant.
fn users_of(server: &Server, tenant: &str) {
    let of = Some(tenant);
    let new = json!({ "email": "john@example.com", "name": "John Doe" });
    let created = server.send("POST", "/users", of, Some(&new));
    assert_eq!(created.status, 201);
    let user = created.json();
    assert_eq!((&user["email"], &user["active"]), (&new["email"], &json!(true)));
    let at = user["createdAt"].as_str().expect("there is a time");
    assert!(at.ends_with('Z') && at.contains('T'), "{at}");

    let taken = server.send("POST", "/users", of, Some(&new));
    assert_eq!(taken.status, 409);
    assert!(!taken.body.contains("users_email_key"), "{}", taken.body);

    let path = format!("/users/{}", user["id"].as_str().expect("there is an id"));
    assert_eq!(server.send("GET", &path, of, None).json(), user);
    let other = if tenant == "acme" { "globex" } else { "acme" };
    assert_eq!(server.send("GET", &path, Some(other), None).status, 404);
    assert_eq!(server.send("DELETE", &path, Some(other), None).status, 404);

    let name = json!({ "name": "John Updated" });
    let updated = server.send("PUT", &path, of, Some(&name)).json();
    assert_eq!(updated["name"], "John Updated");
    assert_eq!((&updated["email"], &updated["active"]), (&user["email"], &json!(true)));
    let off = server.send("PUT", &path, of, Some(&json!({ "active": false }))).json();
    assert_eq!((&off["name"], &off["active"]), (&json!("John Updated"), &json!(false)));

    for list in ["/users", "/users-async"] {
        let users = server.send("GET", list, of, None).json();
        let emails = users.as_array().expect("a list").iter().map(|user| user["email"].clone());
        let seeds = [format!("ada@{tenant}.example"), format!("grace@{tenant}.example")];
        let expected = json!([seeds[0], seeds[1], "john@example.com"]);
        assert_eq!(Value::from_iter(emails), expected);
    }
    let deleted = server.send("DELETE", &path, of, None);
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    for method in ["GET", "DELETE"] {
        let gone = server.send(method, &path, of, None);
        assert_eq!((gone.status, &gone.json()["detail"]), (404, &json!("there is no such user")));
    }
    assert_eq!(server.send("PUT", &path, of, Some(&name)).status, 404);
}

fn refusals(server: &Server) {
    for (tenant, status) in [(None, 400), (Some("nobody"), 404), (Some("x,tenant_acme"), 400)] {
        let refused = server.send("GET", "/users", tenant, None);
        assert_eq!(refused.status, status, "{tenant:?}");
        assert_eq!(refused.json()["status"], status);
    }
    assert_eq!(server.send("GET", "/users/not-a-uuid", Some("acme"), None).status, 400);
    for bad in ["x".repeat(300), "a\0b".to_owned()] {
        let new = json!({ "email": bad, "name": "Eve" });
        assert_eq!(server.send("POST", "/users", Some("acme"), Some(&new)).status, 400);
    }
}

fn beside_the_tenants(server: &Server) {
    let pools = server.send("GET", "/admin/pools", None, None).json();
    assert_eq!((&pools["count"], &pools["maxConnections"]), (&json!(2), &json!(10)));
    let tenants = pools["tenants"].as_array().expect("a list").iter();
    assert_eq!(
        Value::from_iter(tenants.map(|of| of["tenantId"].clone())),
        json!(["acme", "globex"])
    );
    let plans = server.send("GET", "/plans", None, None).json();
    assert_eq!(plans[0]["name"], "enterprise");
    assert_eq!(plans[0]["maxUsers"], "unlimited");
    for path in ["/health", "/livez", "/readyz", "/metrics"] {
        assert_eq!(server.send("GET", path, None, None).status, 200, "{path}");
    }
}
