//! Runs the program as a server and as its client.

use example_support::testing::{Program, Server, works_as_shown};
use sqlx::{Connection as _, PgConnection};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_grpc"))
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}

/// Runs the client, and returns what it prints; as an error, what it prints of one.
fn call(server: &Server, arguments: &[&str]) -> Result<String, String> {
    let url = format!("http://{}", server.address());
    let (what, rest) = arguments.split_first().expect("a command");
    let mut command = program().command();
    let output = command.arg(what).arg(url).args(rest).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

#[tokio::test]
async fn what_is_refused_is_a_status() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    assert_eq!(call(&server, &["add", "acme", "a"])?, "added note 1: a\n");
    for (arguments, code, message) in [
        (&["add", "acme", "a"][..], "already exists", "conflicts with stored data"),
        (&["add", "acme", ""], "invalid argument", "violates a constraint"),
        (&["list", "nobody"], "entity was not found", "does not exist"),
        (&["list", "a b"], "invalid argument", "tenant id"),
    ] {
        let refused = call(&server, arguments).expect_err("it is refused");
        let lower = refused.to_lowercase();
        assert!(lower.contains(code) && lower.contains(message), "{arguments:?}: {refused}");
        assert!(!lower.contains("notes_"), "a word of the database: {refused}");
    }
    let mut admin = PgConnection::connect(database.url()).await?;
    sqlx::raw_sql("drop table tenant_globex.notes").execute(&mut admin).await?;
    let broken = call(&server, &["list", "globex"]).expect_err("the table is gone");
    assert!(!broken.contains("relation"), "a word of the database: {broken}");
    assert!(server.log().contains("relation"), "{}", server.log());
    admin.close().await?;
    server.stop();
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_has_every_note_of_its_tenant() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let mut admin = PgConnection::connect(database.url()).await?;
    let fill =
        "insert into tenant_acme.notes (text) select 'note ' || n from generate_series(1, 250) n";
    sqlx::raw_sql(fill).execute(&mut admin).await?;
    let listed = call(&server, &["list", "acme"])?;
    let expected: Vec<_> = (1..=250).map(|number| format!("{number}: note {number}")).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    assert_eq!(call(&server, &["list", "globex"])?, "");
    admin.close().await?;
    server.stop();
    database.close().await?;
    Ok(())
}
