//! `dump` and `restore`: a tenant in a file, and back under any id.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

use crate::{
    json::check,
    support::{Fleet, Folder, eventually, execute, value},
};

/// Rows, a function, an odd table, and a reference to the shared schema and to an extension.
async fn fill(fleet: &Fleet, schema: &str) {
    let mut admin = fleet.admin().await;
    execute(
        &mut admin,
        "create schema if not exists ext; create extension if not exists citext schema ext",
    )
    .await;
    execute(&mut admin, "insert into plans values ('free') on conflict do nothing").await;
    execute(
        &mut admin,
        &format!(
            "set search_path to {schema}; \
             create table if not exists users (id bigint generated always as identity primary key, email text); \
             insert into users (email) select 'u' || n from generate_series(1, 100) n; \
             create table \"Odd \"\"T\" (plan text references public.plans, name ext.citext); \
             insert into \"Odd \"\"T\" values ('free', 'X'); \
             create function twice(n int) returns int language sql as 'select n * 2'"
        ),
    )
    .await;
}

/// How many scratch databases a process has left.
async fn left_by(fleet: &Fleet, process: u32) -> String {
    let sql = format!(
        "select count(*) from pg_database where starts_with(datname, 'tenantry_dev_{process}_')"
    );
    value(&mut fleet.admin().await, &sql).await
}

/// Programs that say they are of a version, and do something else.
fn fake(fleet: &Fleet, version: &str, script: &str) -> std::path::PathBuf {
    for name in ["pg_dump", "pg_restore"] {
        let text = format!(
            "#!/bin/sh\ncase $1 in --version) echo '{name} (PostgreSQL) {version}'; exit ;; esac\n{script}\n"
        );
        let path = fleet.folder.write(&format!("bin/{name}"), text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a file");
    }
    fleet.folder.path().join("bin")
}

fn files(fleet: &Fleet) -> Vec<String> {
    let entries = std::fs::read_dir(fleet.folder.path()).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> =
        names.filter(|name| name.contains("dump") || name.contains(".sql")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_tenant_goes_into_a_file_and_comes_back_under_another_id() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    fill(&fleet, "tenant_acme").await;
    let set = ["--set", "tenants.extension_schemas=ext", "--json"];
    let dump = fleet.tenantry(set.iter().chain(&["dump", "acme"])).run().await.ended_with(0).json();
    assert_eq!(
        (dump["file"].as_str(), dump["schema"].as_str()),
        (Some("acme.dump"), Some("tenant_acme"))
    );
    assert!(dump["tables"].as_u64() >= Some(4) && dump["bytes"].as_u64() > Some(1000), "{dump}");
    let mode = std::fs::metadata(fleet.folder.path().join("acme.dump")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    // The file is not replaced by accident.
    fleet.run("dump acme").await.ended_with(2).says("acme.dump already exists").says("--force");
    fleet.run("dump acme --force").await.ended_with(0);

    let restore = ["restore", "copy", "--input", "acme.dump"];
    let child = fleet.tenantry(set.iter().chain(&restore)).command.spawn().unwrap();
    let process = child.id().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["tenant"]["schemaName"], "tenant_copy");
    assert_eq!(report["dumpedSchema"], "tenant_acme");
    let same = "(select array_agg(u order by id) from tenant_acme.users u)::text = \
                (select array_agg(u order by id) from tenant_copy.users u)::text \
                and tenant_copy.twice(2) = 4 and (select count(*) from tenant_copy.\"Odd \"\"T\") = 1 \
                and (select count(*) from tenant_copy._sqlx_migrations) = 2";
    assert_eq!(value(&mut admin, same).await, "true");
    assert_eq!(value(&mut admin, "select state from tenants where id = 'copy'").await, "active");
    assert_eq!(left_by(&fleet, process).await, "0", "the scratch database is removed");
    // A tenant that exists stays.
    fleet
        .run("restore copy --input acme.dump")
        .await
        .ended_with(2)
        .says("tenant copy already exists");
    assert_eq!(files(&fleet), ["acme.dump"]);
}

#[tokio::test]
async fn a_tenant_is_replaced_once_the_new_one_is_complete() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "insert into tenant_acme.users (email) values ('old')").await;
    execute(&mut admin, "update tenants set attributes = '{\"a\": 1}' where id = 'acme'").await;
    fleet.run("dump acme").await.ended_with(0);
    execute(&mut admin, "update tenant_acme.users set email = 'newer'").await;
    let unasked = fleet.run("restore acme --input acme.dump --replace").await.ended_with(2);
    unasked.says("must be confirmed");
    // Another one that uses nothing of it: a dump that cannot be restored leaves the tenant as it is.
    let broken = fleet.folder.path().join("broken.dump");
    let whole = std::fs::read(fleet.folder.path().join("acme.dump")).unwrap();
    std::fs::write(&broken, &whole[..whole.len() - 200]).unwrap();
    fleet.run("restore acme --input broken.dump --replace --yes").await.ended_with(2);
    assert_eq!(value(&mut admin, "select email from tenant_acme.users").await, "newer");
    // The name is kept back for ten seconds, which nobody needs here.
    let free = async {
        let kept = "select to_regclass('tenantry_retired') is not null";
        eventually("a name is given up", async || value(&mut admin, kept).await == "true").await;
        for _ in 0..2 {
            let rows = "select count(*) > 0 from tenantry_retired";
            eventually("it is kept back", async || value(&mut admin, rows).await == "true").await;
            execute(&mut admin, "delete from tenantry_retired").await;
        }
    };
    let (ran, ()) = tokio::join!(fleet.run("restore acme --input acme.dump --replace --yes"), free);
    ran.ended_with(0).says("in the place of the old one");
    assert_eq!(value(&mut admin, "select email from tenant_acme.users").await, "old");
    let row = "select id || attributes::text from tenants where id = 'acme'";
    assert_eq!(value(&mut admin, row).await, "acme{\"a\": 1}");
    assert_eq!(value(&mut admin, "select count(*) from tenants").await, "3");
    let schemas = "select count(*) from pg_namespace where nspname ~ 'replaced|spare'";
    assert_eq!(value(&mut admin, schemas).await, "0");
}

#[tokio::test]
async fn odd_names_are_dumped_and_nothing_else() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    let odd = format!("Odd.*\"[a]{}", "x".repeat(63 - 10));
    let quoted = odd.replace('"', "\"\"");
    execute(&mut admin, &format!("create schema \"{quoted}\"; create schema \"Odd.b\"")).await;
    execute(&mut admin, &format!("insert into tenants (id, container) values ('Odd', '{odd}')"))
        .await;
    fill(&fleet, &format!("\"{quoted}\"")).await;
    let set = ["--set", "tenants.extension_schemas=ext"];
    fleet.tenantry(["dump", "Odd", "--output", "o.dump"]).run().await.ended_with(0);
    let restore = ["restore", "plain", "--input", "o.dump", "--json"];
    let report = fleet.tenantry(set.iter().chain(&restore)).run().await.ended_with(0).json();
    assert_eq!(report["dumpedSchema"].as_str(), Some(odd.as_str()));
    assert_eq!(value(&mut admin, "select count(*) from tenant_plain.users").await, "100");
    fleet.run("dump Odd --format plain --no-owner --no-acl").await.ended_with(0);
    let sql = fleet.folder.read("Odd.sql");
    assert!(sql.contains(&format!("CREATE SCHEMA \"{quoted}\"")) && !sql.contains("OWNER TO"));
    assert!(!sql.contains("\"Odd.b\""));
    fleet
        .run("restore x --input Odd.sql")
        .await
        .ended_with(2)
        .says("not a dump in the custom format");
}

#[tokio::test]
async fn wrong_versions_are_refused_with_both() {
    let fleet = Fleet::new().await;
    fleet.run("dump acme").await.ended_with(0);
    let old = fake(&fleet, "9.6", "exit 1");
    let ran = fleet.tenantry(["dump", "globex"]).env("TENANTRY_PG_BIN", &old).run().await;
    ran.ended_with(2).says("or newer is needed").says("9.6").says("TENANTRY_PG_BIN");
    let list = "echo ';     Dumped from database version: 99.1'; \
                echo '5; 2615 16385 SCHEMA - tenant_acme postgres'; echo 'CREATE SCHEMA tenant_acme;'";
    let new = fake(&fleet, "99.1", list);
    let ran = fleet.tenantry(["restore", "x", "--input", "acme.dump"]).env("TENANTRY_PG_BIN", &new);
    ran.run().await.ended_with(2).says("from PostgreSQL 99.1").says("an older version");
    let none = fleet.folder.path().join("migrations");
    let ran = fleet.tenantry(["dump", "globex"]).env("TENANTRY_PG_BIN", none).run().await;
    ran.ended_with(2).says("there is no pg_dump");
    fleet
        .run("restore x --input nowhere.dump")
        .await
        .ended_with(2)
        .says("reading the dump nowhere.dump");
    assert_eq!(files(&fleet), ["acme.dump"]);
}

#[tokio::test]
async fn an_interrupted_dump_leaves_no_file_and_no_child() {
    let fleet = Fleet::new().await;
    let bin = fake(&fleet, "99.1", "echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 100");
    let mut call = fleet.tenantry(["dump", "acme"]).env("TENANTRY_PG_BIN", bin);
    let child = call.command.spawn().unwrap();
    let pid = fleet.folder.path().join("pid");
    eventually("the dump is under way", async || pid.exists()).await;
    assert_eq!(files(&fleet).len(), 1, "{:?}", files(&fleet));
    let id = child.id().unwrap();
    std::process::Command::new("kill").arg(id.to_string()).status().unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("interrupted: the dump was not made"), "{said}");
    assert!(files(&fleet).is_empty(), "{:?}", files(&fleet));
    let pid = std::fs::read_to_string(pid).unwrap();
    let process = format!("/proc/{}/comm", pid.trim());
    eventually("the child has ended", async || {
        !std::fs::read_to_string(&process).is_ok_and(|name| name.trim() == "sleep")
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_restore_leaves_no_database_and_no_tenant() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    fleet.run("dump acme").await.ended_with(0);
    // It waits for this lock when the dump is in the scratch database, and the clone begins.
    let mut holder = fleet.admin().await;
    execute(&mut holder, "begin; lock table tenants in access exclusive mode").await;
    let args = ["restore", "copy", "--input", "acme.dump", "--no-shared"];
    let child = fleet.tenantry(args).command.spawn().unwrap();
    let process = child.id().unwrap();
    let waits = "select count(*) > 0 from pg_stat_activity where datname = current_database() \
                 and wait_event_type = 'Lock'";
    eventually("it waits", async || value(&mut admin, waits).await == "true").await;
    std::process::Command::new("kill").arg(process.to_string()).status().unwrap();
    let output = child.wait_with_output().await.unwrap();
    execute(&mut holder, "rollback").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("interrupted: "), "{said}");
    assert_eq!(left_by(&fleet, process).await, "0");
    assert_eq!(value(&mut admin, "select count(*) from tenants").await, "3");
}

#[tokio::test]
async fn no_superuser_is_needed() {
    let fleet = Fleet::empty().await;
    let mut admin = fleet.admin().await;
    let role = format!("ops_{}", std::process::id());
    let database = fleet.database.name();
    execute(
        &mut admin,
        &format!(
            "create role {role} login createdb; grant create on database {database} to {role}; \
             grant create, usage on schema public to {role}; create extension citext; \
             create extension pg_stat_statements"
        ),
    )
    .await;
    let url = fleet.url().replace("postgres@", &format!("{role}@"));
    let run = async |command: &str| {
        let call = fleet.folder.tenantry(command.split(' ')).url(&url);
        let call = call.env("TENANTRY_TENANTS_EXTENSION_SCHEMAS", "");
        call.run().await.ended_with(0)
    };
    run("init --output t.toml --create-table --yes").await;
    run("migrate --shared").await;
    run("tenant create acme").await;
    let refers = "alter table tenant_acme.users add plan text references plans, add nick citext";
    execute(&mut admin, &format!("set role {role}; {refers}; reset role")).await;
    run("dump acme").await;
    // The role may not create one of the extensions, and need not.
    run("restore copy --input acme.dump").await;
    assert_eq!(value(&mut admin, "select count(*) from tenants").await, "2");
    let types = "select string_agg(format_type(atttypid, null), ' ' order by attnum) from pg_attribute \
                 where attrelid = 'tenant_copy.users'::regclass and attnum > 0";
    assert_eq!(value(&mut admin, types).await, "bigint text text citext");
    execute(&mut admin, "drop schema tenant_acme cascade; drop schema tenant_copy cascade").await;
    execute(&mut admin, &format!("drop owned by {role} cascade; drop role {role}")).await;
}

/// Their container is a schema that holds the rows of all tenants, or one in another database or on another server.
#[tokio::test]
async fn tenants_without_a_schema_of_their_own_are_refused() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(
        &mut admin,
        "insert into tenants (id, isolation) values ('byrow', 'row'), ('bydatabase', 'database')",
    )
    .await;
    fleet.run("dump acme").await.ended_with(0);
    // Its rows are dumped, where there are tables for rows.
    fleet.run("dump byrow").await.ended_with(2).says("has no table with the column tenant_id");
    fleet.run("shell byrow").await.ended_with(2).says("`dump` writes them to a file");
    fleet
        .run("dump bydatabase")
        .await
        .ended_with(2)
        .says("has no schema of its own in this database");
    for (id, place) in [("byrow", "is isolated by row"), ("bydatabase", "is isolated by database")]
    {
        let refusal = format!("tenant {id} {place} and has no schema of its own in this database");
        for command in [
            format!("shell {id} -- -XAtc select"),
            format!("shell {id} --suspended -- -XAtc select"),
            format!("restore {id} --input acme.dump --replace --yes"),
        ] {
            let ran = fleet.run(&command).await.ended_with(2).says(&refusal);
            assert_eq!(ran.stdout, "", "{command}");
        }
    }
    assert_eq!(files(&fleet), ["acme.dump"]);
    let ids = "select string_agg(id, ' ' order by id) from tenants";
    assert_eq!(value(&mut admin, ids).await, "acme bydatabase byrow globex initech");
}

/// Tenants that are isolated by row.
const IN_ROWS: &str = "[tenants]\ncatalog = \"table\"\nisolation = \"row\"\n";

#[tokio::test]
async fn the_rows_of_a_tenant_go_into_a_file_and_come_back() {
    let database = DevDatabase::create().await.unwrap();
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    let folder = Folder::new();
    folder.write("tenantry.toml", IN_ROWS);
    let run = |arguments: &str| {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        folder.tenantry(arguments).url(database.url()).env("TENANTRY_PG_BIN", "/nowhere").run()
    };
    run("init --yes --create-table --output other.toml").await.ended_with(0);
    run("migrate new notes --row-table notes").await.ended_with(0);
    run("migrate --all").await.ended_with(0);
    execute(&mut admin, "alter table notes add column text text").await;
    let insert = "insert into notes (tenant_id, text) values ('acme', E'a\\tb\\n'), ('acme', null), ('globex', 'x')";
    run("tenant create acme").await.ended_with(0);
    run("tenant create globex").await.ended_with(0);
    execute(&mut admin, insert).await;

    let dump = run("dump acme --json").await.ended_with(0);
    check("dump", &dump);
    let dump = dump.json();
    assert_eq!(
        (dump["file"].as_str(), dump["format"].as_str(), dump["rows"].as_u64()),
        (Some("acme.rows"), Some("rows"), Some(2)),
        "{dump}"
    );
    let path = folder.path().join("acme.rows");
    let bytes = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (bytes.permissions().mode() & 0o777, Some(bytes.len())),
        (0o600, dump["bytes"].as_u64())
    );
    run("dump acme").await.ended_with(2).says("acme.rows already exists").says("--force");
    run("dump acme --force")
        .await
        .ended_with(0)
        .says("dumped tenant acme (schema public) to acme.rows: 2 rows in");
    let other = run("dump acme --format plain --force").await.ended_with(2);
    other.says("tenant acme is isolated by row, so its dump is not in the format plain");
    run("dump nemo").await.ended_with(2).says("unknown tenant");
    assert!(!folder.path().join("nemo.rows").exists());

    let restored =
        run("restore copy --input acme.rows --new-ids --key K --json").await.ended_with(0);
    check("restore", &restored);
    assert_eq!(restored.json()["restored"]["created"], true);
    let rows = "select string_agg(tenant_id || ' ' || coalesce(text, '-'), ', ' order by tenant_id, text) from notes";
    assert_eq!(value(&mut admin, rows).await, "K a\tb\n, K -, acme a\tb\n, acme -, globex x");
    run("restore acme --input acme.rows")
        .await
        .ended_with(2)
        .says("has rows with its key \"acme\" already");
    execute(&mut admin, "delete from notes where text is null and tenant_id = 'acme'").await;
    run("restore acme --input acme.rows --replace").await.ended_with(2).says("must be confirmed");
    let replaced = run("restore acme --input acme.rows --replace --yes").await.ended_with(0);
    replaced
        .says("restored tenant acme from rows of acme")
        .says("2 rows in 1 table, in the place of 1");
    assert_eq!(value(&mut admin, rows).await, "K a\tb\n, K -, acme a\tb\n, acme -, globex x");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    run("restore new --input acme.rows").await.ended_with(2).says("cut off");
    run("tenant show new").await.ended_with(2);
    admin.close().await.unwrap();
    database.close().await.unwrap();
}
