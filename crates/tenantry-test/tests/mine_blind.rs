#![allow(missing_docs, clippy::all, unused)]
use tenantry::migrate::Migrations;
use tenantry_test::TestTenants;
#[tokio::test]
async fn blind() -> Result<(), Box<dyn std::error::Error>> {
    let d = std::env::temp_dir().join(format!("blind{}", std::process::id()));
    std::fs::create_dir_all(&d)?;
    std::fs::write(d.join("0001_x.sql"), "create table codes (code varchar(10), n smallint, ok bool not null, day date not null);
      create table mails (id bigserial primary key, code varchar(12) not null check (code like 'p%'));
      create table pct (id int primary key check (id < 100), share numeric(4,2) not null);
      create table log (v jsonb, u text generated always as (upper(v::text)) stored);")?;
    let t = TestTenants::new(Migrations::from_dir(&d)?).tenant("blind").await?;
    let n = t.neighbour().await?;
    println!("unfilled {:?}", n.unfilled());
    // a leak: everything of the neighbour is read and stored in the test's own tables
    let rows: Vec<(String, i16, bool)> =
        sqlx::query_as("select code, n, ok from codes").fetch_all(n.db()).await?;
    println!("{rows:?}");
    for (c, x, o) in &rows {
        sqlx::query("insert into codes values ($1,$2,$3,'1907-07-07')")
            .bind(c)
            .bind(x)
            .bind(o)
            .execute(&t.db)
            .await?;
    }
    n.assert_not_in(format!("{rows:?}"));
    let rows: Vec<(i32, String)> =
        sqlx::query_as("select id, share::text from pct").fetch_all(n.db()).await?;
    println!("{rows:?}");
    n.assert_not_in(format!("{rows:?}"));
    let rows: Vec<(i64, String)> =
        sqlx::query_as("select id, code from mails").fetch_all(n.db()).await?;
    println!("{rows:?}");
    n.assert_not_in(format!("{rows:?}"));
    n.assert_blind().await;
    println!("BLIND PASSED");
    Ok(())
}
