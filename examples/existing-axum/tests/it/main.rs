//! Runs the program, and checks that what its README shows is the case.

use example_support::testing::{Program, works_as_shown};
use serde_json::json;
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_existing-axum"))
}

/// The difference in the README, too.
#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn each_tenant_has_its_own_customers_and_invoices() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    for tenant in ["acme", "globex"] {
        let of = Some(tenant);
        let new = json!({ "name": format!("a customer of {tenant}") });
        let created = server.send("POST", "/customers", of, Some(&new));
        assert_eq!((created.status, created.json()["id"].as_i64()), (201, Some(1)));
        let lines =
            json!([{ "description": "tea", "cents": 450 }, { "description": "milk", "cents": 50 }]);
        let path = "/customers/1/invoices";
        assert_eq!(server.send("POST", path, of, Some(&lines)).status, 201);
        // The second line is refused, so there is no second invoice.
        let lines =
            json!([{ "description": "tea", "cents": 450 }, { "description": "air", "cents": 0 }]);
        assert_eq!(server.send("POST", path, of, Some(&lines)).status, 422);
        let unpaid = json!([{ "id": 1, "currency": "EUR", "cents": 500, "paid": false }]);
        assert_eq!(server.send("GET", path, of, None).json(), unpaid);
    }
    assert_eq!(server.send("POST", "/invoices/1/payment", Some("acme"), None).status, 204);
    let paid = |tenant| {
        let invoices = server.send("GET", "/customers/1/invoices", Some(tenant), None).json();
        invoices[0]["paid"].clone()
    };
    assert_eq!((paid("acme"), paid("globex")), (json!(true), json!(false)));
    let renamed = json!({ "name": "renamed" });
    assert_eq!(server.send("PUT", "/customers/1", Some("acme"), Some(&renamed)).status, 200);
    let name = server.send("GET", "/customers/1", Some("globex"), None).json()["name"].clone();
    assert_eq!(name, "a customer of globex");
    assert_eq!(server.send("DELETE", "/customers/1", Some("globex"), None).status, 204);
    assert_eq!(server.send("GET", "/customers/1", Some("globex"), None).status, 404);
    assert_eq!(server.send("GET", "/customers/1", Some("acme"), None).status, 200);
    server.stop();
    database.close().await?;
    Ok(())
}
