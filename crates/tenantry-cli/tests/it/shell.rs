//! `shell` starts psql in a tenant's schema, and in no other.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Fleet, execute, value};

const WHERE: &str = "select current_schema, current_setting('search_path'), current_user, \
                     current_setting('default_transaction_read_only'), current_setting('application_name')";

/// What psql prints, without decoration.
fn asking(tenant: &str, sql: &str) -> Vec<String> {
    ["shell", tenant, "--", "-XAtc", sql].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn the_session_is_the_tenants() {
    let fleet = Fleet::new().await;
    let ran = fleet.tenantry(asking("acme", WHERE)).run().await.ended_with(0);
    assert_eq!(ran.stdout.trim(), "tenant_acme|\"tenant_acme\"|postgres|off|tenantry/shell");
    let read_only = ["shell", "acme", "--read-only", "--", "-XAtc", "create table t ()"];
    fleet.tenantry(read_only).run().await.ended_with(1).says("read-only transaction");
    // A prompt that names the tenant, and a connection that keeps the path.
    let script = "\\echo :TENANT :PROMPT1\n\\c\nselect current_schema;\n";
    let ran = fleet.tenantry(["shell", "acme", "--", "-XAtq"]).stdin(script).run().await;
    let ran = ran.ended_with(0).says("acme acme@%/%R%x%#");
    assert!(ran.stdout.lines().any(|line| line == "tenant_acme"), "{ran:?}");
}

#[tokio::test]
async fn odd_names_and_settings_reach_the_session() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    let odd = format!("Odd \"\\ name{}", "x".repeat(63 - 11));
    execute(&mut admin, &format!("create schema \"{}\"", odd.replace('"', "\"\""))).await;
    execute(&mut admin, &format!("insert into tenants (id, container) values ('odd', '{odd}')"))
        .await;
    let ran = fleet.tenantry(asking("odd", "select current_schema")).run().await.ended_with(0);
    assert_eq!(ran.stdout.trim_end_matches('\n'), odd);
    let seeing =
        ["--set", "tenants.see_shared=true", "shell", "acme", "--", "-XAtc", "show search_path"];
    let ran = fleet.tenantry(seeing).run().await.ended_with(0);
    assert_eq!(ran.stdout.trim(), "\"tenant_acme\", \"public\"");
}

#[tokio::test]
async fn who_is_no_tenant_gets_no_shell() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "update tenants set state = 'suspended' where id = 'globex'").await;
    execute(&mut admin, "drop schema tenant_initech cascade").await;
    fleet.tenantry(asking("nobody", "select 1")).run().await.ended_with(2).says("nobody");
    let refused = fleet.tenantry(asking("globex", "select 1")).run().await.ended_with(2);
    refused.says("suspended").says("--suspended");
    let opened = ["shell", "globex", "--suspended", "--", "-XAtc", "select current_schema"];
    let ran = fleet.tenantry(opened).run().await.ended_with(0);
    assert_eq!(ran.stdout.trim(), "tenant_globex");
    // Names must not be looked up in the shared schema because the tenant's own is gone.
    let gone = fleet.tenantry(asking("initech", "select current_schema")).run().await;
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(2), ""), "{gone:?}");
    execute(&mut admin, "update tenants set state = 'suspended' where id = 'initech'").await;
    let gone = ["shell", "initech", "--suspended"];
    fleet.tenantry(gone).run().await.ended_with(2).says("no schema tenant_initech");
    fleet.tenantry(asking("-x", "select 1")).run().await.ended_with(2);
}

#[tokio::test]
async fn a_missing_psql_is_said() {
    let fleet = Fleet::new().await;
    let ran = fleet.tenantry(["shell", "acme"]).env("TENANTRY_PG_BIN", fleet.folder.path());
    let ran = ran
        .run()
        .await
        .ended_with(2)
        .says("there is no psql in")
        .says("install PostgreSQL's client");
    ran.never_says("is not a setting");
}

#[tokio::test]
async fn the_password_is_never_an_argument() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    let user = format!("pw_{}", std::process::id());
    execute(&mut admin, &format!("create role {user} login superuser password 'ge heim'")).await;
    let url = fleet.url().replace("postgres@", &format!("{user}@"));
    // It shows what it was called with, and what its environment has.
    let psql = fleet.folder.write(
        "bin/psql",
        "#!/bin/sh\ncase $1 in --version) echo 'psql (PostgreSQL) 99.1' ;; *) cat /proc/$$/cmdline | tr '\\0' ' '; \
         echo \"in environment: $PGPASSWORD\" ;; esac\n",
    );
    std::fs::set_permissions(&psql, std::fs::Permissions::from_mode(0o755)).unwrap();
    fleet.folder.write("password", "ge heim\n");
    let by_url = url.replace(&format!("{user}@"), &format!("{user}:ge%20heim@"));
    let ways = [
        ("TENANTRY_DATABASE_PASSWORD_FILE", "password", &url),
        ("TENANTRY_DATABASE_PASSWORD_COMMAND", "echo 'ge heim'", &url),
        ("NOTHING", "", &by_url),
    ];
    for (variable, value, url) in ways {
        let ran = fleet.tenantry(["shell", "acme"]).url(url).env(variable, value);
        let ran = ran.env("TENANTRY_PG_BIN", psql.parent().unwrap()).run().await.ended_with(0);
        let (arguments, environment) = ran.stdout.split_once("in environment: ").unwrap();
        assert!(arguments.contains("TENANT=acme"), "{variable}: {ran:?}");
        assert!(!arguments.contains("heim"), "{variable}: {ran:?}");
        assert_eq!(environment.trim(), "ge heim", "{variable}");
    }
    let count = value(&mut admin, "select count(*) from tenants").await;
    assert_eq!(count, "3");
    execute(&mut admin, &format!("drop role {user}")).await;
}
