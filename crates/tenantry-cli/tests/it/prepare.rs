//! `prepare` makes a database to check queries against.

use crate::support::{Fleet, Folder, value};

const FOUND: &str = "psql -XAt \"$DATABASE_URL\" -c \"select (select count(*) from users), (select count(*) from plans), \
                     current_setting('search_path'), 'A'::citext = 'a', current_database()\"";

#[tokio::test]
async fn a_command_finds_tenants_and_shared_tables() {
    let fleet = Fleet::empty().await;
    fleet.folder.write("setup.sql", "create extension citext schema \"Ext 1\";");
    let args = ["--set", "tenants.extension_schemas=Ext 1", "prepare", "--setup", "setup.sql"];
    // A throwaway server, though a database is named.
    let with = |command: &'static str| args.iter().copied().chain(["--", "sh", "-c", command]);
    let ran = fleet.tenantry(with(FOUND)).run().await.ended_with(0);
    let found: Vec<_> = ran.stdout.trim().split('|').collect();
    let path = "\"tenant_template\",\"public\",\"Ext 1\"";
    assert_eq!(found[..4], ["0", "0", path, "t"], "{ran:?}");
    let is_there = format!("exists (select from pg_database where datname = '{}')", found[4]);
    assert_eq!(value(&mut fleet.admin().await, &is_there).await, "false");
    // On a server that is named, the database goes, too.
    let named = ["--database-url", fleet.url()];
    let ran = fleet.tenantry(named.into_iter().chain(with(FOUND))).run().await.ended_with(0);
    let name = ran.stdout.trim().rsplit('|').next().unwrap().to_owned();
    let is_there = format!("exists (select from pg_database where datname = '{name}')");
    assert_eq!(value(&mut fleet.admin().await, &is_there).await, "false");
    // The command's failure is told.
    let failing = named.into_iter().chain(with("exit 3"));
    fleet.tenantry(failing).run().await.ended_with(1).says("exit status: 3");
}

#[tokio::test]
async fn what_cannot_be_migrated_is_said_and_nothing_is_left() {
    let fleet = Fleet::empty().await;
    fleet.folder.write("migrations/tenants/0003_wrong.sql", "create table users (id int);");
    let args = ["--database-url", fleet.url(), "prepare", "--env-file", "made.env", "--", "true"];
    let child = fleet.tenantry(args).command.spawn().unwrap();
    let process = child.id().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("0003_wrong"), "{said}");
    let left = format!(
        "select count(*) from pg_database where starts_with(datname, 'tenantry_dev_{process}_')"
    );
    assert_eq!(value(&mut fleet.admin().await, &left).await, "0");
    assert!(!fleet.folder.path().join("made.env").exists());
}

#[tokio::test]
async fn the_url_is_in_a_file_while_the_command_runs() {
    let folder = Folder::new();
    folder.write(".keep", "");
    let fleet = Fleet::empty().await;
    let args =
        ["--database-url", fleet.url(), "prepare", "--env-file", "a.env", "--", "cat", "a.env"];
    let ran = folder.tenantry(args).run().await.ended_with(0);
    assert!(ran.stdout.starts_with("DATABASE_URL=postgres://"), "{ran:?}");
    assert!(!folder.path().join("a.env").exists());
    let args = ["--database-url", fleet.url(), "prepare", "--env-file", ".keep", "--", "true"];
    folder.tenantry(args).run().await.ended_with(2).says("does not exist");
}
