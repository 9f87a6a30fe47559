//! Runs the program as a person would.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use example_support::testing::{Program, works_as_shown};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_worker"))
}

fn command(database: &DevDatabase) -> Command {
    program().database(database.url()).command()
}

/// Runs workers at the same time, until each finds nothing to do.
fn run_once(database: &DevDatabase, workers: usize) -> String {
    let start = |_| {
        let mut command = command(database);
        command.arg("once").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let running: Vec<_> = (0..workers).map(start).collect();
    let said = running.into_iter().map(|worker| {
        let Output { status, stdout, stderr } = worker.wait_with_output().expect("it is our child");
        let log = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{status}: {log}");
        String::from_utf8_lossy(&stdout).into_owned()
    });
    said.collect()
}

/// Jobs of a tenant that are done, and those that have failed, and its invoices.
async fn jobs(admin: &mut PgConnection, tenant: &str) -> sqlx::Result<(i64, i64, i64)> {
    let path = sqlx::query("select set_config('search_path', $1, false)");
    path.bind(format!("tenant_{tenant}")).execute(&mut *admin).await?;
    let query = "select count(done_at), count(error), (select count(*) from invoices) from jobs";
    sqlx::query_as(query).fetch_one(admin).await
}

#[tokio::test]
async fn runs_each_job_once_and_hides_no_tenant() -> TestResult {
    let database = DevDatabase::create().await?;
    let mut admin = PgConnection::connect(database.url()).await?;
    let said = run_once(&database, 1);
    for line in ["acme: 3 done, 0 failed\n", "globex: 2 done, 0 failed\n"] {
        assert!(said.contains(line), "{said}");
    }
    let expected =
        [("acme", (3, 0, 3)), ("globex", (2, 0, 2)), ("hooli", (1, 1, 1)), ("initech", (0, 0, 0))];
    for (tenant, expected) in expected {
        assert_eq!(jobs(&mut admin, tenant).await?, expected, "{tenant}");
    }
    // A tenant whose table is gone hides no other. Another run places as many orders again.
    sqlx::query("drop table tenant_globex.invoices").execute(&mut admin).await?;
    sqlx::query("alter table tenant_hooli.jobs rename column done_at to ended_at")
        .execute(&mut admin)
        .await?;
    let said = run_once(&database, 1);
    assert!(said.contains("acme: 3 done, 0 failed\n"), "{said}");
    assert!(said.contains("globex: 0 done, 2 failed\n"), "{said}");
    assert!(!said.contains("hooli:"), "{said}");
    assert_eq!(jobs(&mut admin, "acme").await?, (6, 0, 6));
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn workers_share_jobs_and_end_when_they_are_told_to() -> TestResult {
    let database = DevDatabase::create().await?;
    let mut admin = PgConnection::connect(database.url()).await?;
    run_once(&database, 1);
    let more = "with placed as (
            insert into tenant_acme.orders (amount) select 1 from generate_series(1, 60) returning id)
        insert into tenant_acme.jobs (order_id) select id from placed";
    sqlx::query(more).execute(&mut admin).await?;
    run_once(&database, 2);
    // Each start of the program has placed three.
    assert_eq!(jobs(&mut admin, "acme").await?, (69, 0, 69));

    let mut worker = command(&database).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(worker.stdout.take().ok_or("it is piped")?).lines();
    let is_at_work = |line: &std::io::Result<String>| {
        line.as_ref().is_ok_and(|line| line.starts_with("acme: 3 done"))
    };
    assert!(lines.any(|line| is_at_work(&line)), "it has worked");
    kill_process(Pid::from_child(&worker), Signal::TERM)?;
    assert_eq!(lines.last().ok_or("it says that it ends")??, "The worker ends.");
    assert!(worker.wait()?.success());
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
