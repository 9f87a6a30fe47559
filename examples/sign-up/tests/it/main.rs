//! Runs the program, signs up, and is served in the next request.

use example_support::testing::{Program, Server, works_as_shown};
use serde_json::{Value, json};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_sign-up"))
}

fn sign_up(server: &Server, id: &str) -> (u16, Value) {
    send(server, "/sign-up", None, Some(&json!({ "id": id, "company": "A company" })))
}

/// Posts where there is a body, and asks where there is none.
fn send(server: &Server, path: &str, tenant: Option<&str>, body: Option<&Value>) -> (u16, Value) {
    let method = if body.is_some() { "POST" } else { "GET" };
    let answer = server.send(method, path, tenant, body);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn whoever_signs_up_is_served_in_the_next_request() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    for id in ["acme", "globex", "initech", "hooli", "umbrella"] {
        assert_eq!(send(&server, "/notes", Some(id), None).0, 404);
        let (status, created) = sign_up(&server, id);
        assert_eq!((status, &created["tenantId"]), (201, &json!(id)), "{created}");
        assert_eq!(created["seeds"], json!(["welcome"]));
        let notes = (200, json!([format!("welcome, {id}")]));
        assert_eq!(send(&server, "/notes", Some(id), None), notes);
    }
    let note = json!({ "text": "the second" });
    assert_eq!(send(&server, "/notes", Some("acme"), Some(&note)).0, 201);
    server.stop();
    let again = program().database(database.url()).start();
    let notes = (200, json!(["welcome, acme", "the second"]));
    assert_eq!(send(&again, "/notes", Some("acme"), None), notes);
    assert_eq!(send(&again, "/notes", Some("globex"), None).0, 200);
    again.stop();
    Ok(())
}

#[tokio::test]
async fn what_is_refused_is_told_without_the_words_of_the_database() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    assert_eq!(sign_up(&server, "acme").0, 201);
    for (id, status) in [("acme", 409), ("a;drop", 400), ("", 400), ("public", 400)] {
        let (answered, body) = sign_up(&server, id);
        assert_eq!(answered, status, "{id}: {body}");
        let text = body.to_string();
        assert!(!text.contains("tenant_acme") && !text.contains("duplicate"), "{text}");
    }
    assert_eq!(sign_up(&server, &"x".repeat(57)).0, 400);
    assert_eq!(sign_up(&server, &"x".repeat(56)).0, 201);
    server.stop();
    Ok(())
}

#[tokio::test]
async fn of_many_who_want_one_id_one_gets_it() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..6).map(|_| scope.spawn(|| sign_up(&server, "acme").0)).collect();
        tasks.into_iter().map(|task| task.join().expect("it does not panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
    assert_eq!(send(&server, "/notes", Some("acme"), None), (200, json!(["welcome, acme"])));
    server.stop();
    Ok(())
}
