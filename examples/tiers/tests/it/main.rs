//! Starts the program with two servers, and uses a tenant of each plan.

use example_support::testing::{Program, Server, works_as_shown};
use serde_json::{Value, json};
use tenantry_devdb::DevServer;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const TENANTS: [&str; 4] = ["row", "schema", "database", "large"];

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_tiers"))
}

fn get(server: &Server, path: &str, tenant: &str) -> Value {
    let answer = server.send("GET", path, Some(tenant), None);
    assert_eq!(answer.status, 200, "{path} of {tenant}");
    answer.json()
}

/// Each tenant is at its place, and sees its own notes only.
fn uses_all(server: &Server, notes: usize) {
    for (tenant, place) in TENANTS.into_iter().zip([
        json!({ "isolation": "row", "server": "main", "database": null, "schema": "public" }),
        json!({ "isolation": "schema", "server": "main", "database": null, "schema": "notes_schema" }),
        json!({ "isolation": "database", "server": "main", "database": "notes_database", "schema": "public" }),
        json!({ "isolation": "schema", "server": "large", "database": null, "schema": "notes_large" }),
    ]) {
        assert_eq!(get(server, "/place", tenant), place);
        let note = json!({ "text": format!("of {tenant}") });
        let added = server.send("POST", "/notes", Some(tenant), Some(&note));
        assert_eq!(added.status, 201, "{tenant}");
    }
    for tenant in TENANTS {
        let own = vec![format!("of {tenant}"); notes];
        assert_eq!(get(server, "/notes", tenant), json!(own), "{tenant}");
    }
    assert_eq!(server.send("GET", "/notes", Some("nobody"), None).status, 404);
}

#[tokio::test]
async fn tenants_of_all_plans_have_the_same_handlers() -> TestResult {
    let (main, large) = (DevServer::start().await?, DevServer::start().await?);
    let program = program().database(&main.url()).env("LARGE_DATABASE_URL", &large.url());
    let server = program.start();
    uses_all(&server, 1);
    server.stop();
    // A second start finds everything as the first one has left it.
    let server = program.start();
    uses_all(&server, 2);

    large.stop_now().await?;
    assert_eq!(server.send("GET", "/notes", Some("large"), None).status, 503);
    for tenant in ["row", "schema", "database"] {
        get(&server, "/notes", tenant);
    }
    assert_eq!(server.get("/readyz", &[]).status, 200, "one server does not take out the instance");
    server.stop();
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
