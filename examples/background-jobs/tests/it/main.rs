//! Runs the program as a person would, twice on the same database.

use std::process::Output;

use example_support::testing::{Program, works_as_shown};
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_background-jobs"))
}

async fn run(database: &DevDatabase) -> String {
    let mut command = program().database(database.url()).command();
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let Output { status, stdout, stderr } =
        output.expect("it does not panic").expect("the program starts");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}: {stderr}");
    String::from_utf8(stdout).expect("the program writes text")
}

#[tokio::test]
async fn fails_the_jobs_of_tenants_that_are_gone_and_no_others() -> TestResult {
    let database = DevDatabase::create().await?;
    let mut admin = PgConnection::connect(database.url()).await?;
    for runs in 1..=2 {
        let said = run(&database).await;
        for (tenant, total) in [("acme", 60), ("globex", 150), ("initech", 30), ("hooli", 10)] {
            let line = format!("  the orders of {tenant} are worth {total}\n");
            assert!(said.contains(&line), "{said}");
        }
        for (end, times) in [
            ("of acme is done: an invoice over 60\n", 2),
            ("of globex is done: an invoice over 150\n", 2),
            ("of initech has failed: tenant is suspended (tenant initech)", 2),
            ("of hooli has failed: unknown tenant (tenant hooli)", 2),
        ] {
            assert_eq!(said.matches(end).count(), times, "{end}{said}");
        }
        assert!(said.ends_with("No job is left.\n"), "{said}");

        let jobs: Vec<(String, String, i64)> = sqlx::query_as(
            "select tenant, state, count(*) from jobs group by tenant, state order by tenant",
        )
        .fetch_all(&mut admin)
        .await?;
        let expected =
            [("acme", "done"), ("globex", "done"), ("hooli", "failed"), ("initech", "failed")];
        let expected =
            expected.map(|(tenant, state)| (tenant.to_owned(), state.to_owned(), 2 * runs));
        assert_eq!(jobs, expected);
        let invoices: (i64, i64, i64, bool) = sqlx::query_as(
            "select (select count(*) from tenant_acme.invoices where total = 60),
                    (select count(*) from tenant_globex.invoices where total = 150),
                    (select count(*) from tenant_initech.invoices),
                    to_regnamespace('tenant_hooli') is null",
        )
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(invoices, (2 * runs, 2 * runs, 0, true));
    }
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn takes_again_what_a_worker_has_left_behind() -> TestResult {
    let database = DevDatabase::create().await?;
    run(&database).await;
    let mut admin = PgConnection::connect(database.url()).await?;
    let vanished =
        "update jobs set state = 'running', claimed_at = now() - interval '2 minutes' where id = 1";
    sqlx::query(vanished).execute(&mut admin).await?;
    let said = run(&database).await;
    assert!(said.contains("job 1 of acme is done: an invoice over 60\n"), "{said}");
    let invoices: i64 =
        sqlx::query_scalar("select count(*) from tenant_acme.invoices where job = 1")
            .fetch_one(&mut admin)
            .await?;
    assert_eq!(invoices, 1);
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
