//! Runs the program and sends it too much.

use example_support::testing::{Program, works_as_shown};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_rate-limits"))
}

#[tokio::test]
async fn each_tenant_has_its_own_limit() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let status = |tenant| server.send("GET", "/notes", Some(tenant), None).status;
    // What names no tenant is nobody's request.
    for (other, expected) in [("nobody", 404), ("a b", 400), ("ACME\u{e9}", 400)] {
        for _ in 0..6 {
            assert_eq!(status(other), expected, "{other}");
        }
    }
    let answers: Vec<_> = (0..7).map(|_| status("acme")).collect();
    assert_eq!(answers, [200, 200, 200, 200, 200, 429, 429]);
    let refused = server.get("/notes", &[("x-tenant-id", "acme")]);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let wait: u64 = refused.header("retry-after").ok_or("it says when")?.parse()?;
    assert!((1..=10).contains(&wait), "{wait}");
    let answers: Vec<_> = (0..6).map(|_| status("globex")).collect();
    assert_eq!(answers, [200, 200, 200, 200, 200, 429]);
    assert_eq!(server.get("/health", &[]).status, 200);
    assert_eq!(server.get("/nowhere", &[]).status, 404);
    server.stop();
    database.close().await?;
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
