//! `migrate new --row-table` writes files that keep tenants apart.

use sqlx::{Connection, PgConnection, Row};
use tenantry_devdb::DevDatabase;

use crate::support::Folder;

async fn new(folder: &Folder, arguments: &str) -> Vec<String> {
    let arguments = ["migrate", "new", "row tables"].into_iter().chain(arguments.split(' '));
    let ran = folder.tenantry(arguments).run().await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    ran.stdout.lines().map(str::to_owned).collect()
}

/// Runs files, each as one message.
#[expect(clippy::disallowed_methods, reason = "the text is what the command has written")]
async fn run(conn: &mut PgConnection, folder: &Folder, files: &[String]) {
    for file in files {
        let sql = folder.read(file);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *conn).await.unwrap();
    }
}

#[tokio::test]
async fn new_tables_are_written_with_policies() {
    let folder = Folder::project();
    let files = new(
        &folder,
        "--row-table users --row-table orders --reference orders.user_id=users --key-type uuid --row-role app_rows",
    )
    .await;
    assert_eq!(files, ["migrations/tenants/0003_row_tables.sql"]);
    let text = folder.read(&files[0]);
    assert!(text.starts_with("-- row tables\n\ncreate table \"users\" ("), "{text}");
    assert!(text.contains("to \"app_rows\";"), "{text}");
    let lint = folder.tenantry(["migrate", "lint"]).run().await;
    assert_eq!(lint.code, Some(0), "{}", lint.stdout);

    let files =
        new(&folder, "--row-table notes --tenant-column org_id --tenant-setting app.org").await;
    let database = DevDatabase::create().await.unwrap();
    let mut conn = PgConnection::connect(database.url()).await.unwrap();
    run(&mut conn, &folder, &files).await;
    let policies =
        "select string_agg(pg_get_expr(polqual, polrelid), '; ' order by polname) from pg_policy";
    let row = sqlx::query(policies).fetch_one(&mut conn).await.unwrap();
    let policies: String = row.get(0);
    assert!(policies.contains("org_id = ( SELECT NULLIF(current_setting('app.org'"), "{policies}");
}

#[tokio::test]
async fn existing_tables_get_a_file_for_each_step() {
    let folder = Folder::project();
    let files = new(
        &folder,
        "--existing --row-table users --row-table orders --reference orders.user_id=users --fill-with acme",
    )
    .await;
    let names: Vec<_> = files.iter().map(|file| file.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "0003_row_tables_tenant_column.sql",
            "0004_row_tables_tenant_fill_users.sql",
            "0005_row_tables_tenant_fill_orders.sql",
            "0006_row_tables_tenant_check.sql",
            "0007_row_tables_tenant_validate.sql",
            "0008_row_tables_tenant_not_null.sql",
            "0009_row_tables_tenant_indexes.sql",
            "0010_row_tables_tenant_keys.sql",
            "0011_row_tables_tenant_references.sql",
            "0012_row_tables_row_security.sql",
        ]
    );
    assert!(folder.read(&files[4]).starts_with("-- no-transaction\n"));
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused() {
    let folder = Folder::project();
    for (arguments, part) in [
        ("--existing", "--row-table"),
        ("--fill-with acme --row-table users", "--existing"),
        ("--row-table users --reversible", "cannot be used with"),
        ("--row-table users --reference user_id=users", "expected TABLE.COLUMN=TABLE"),
        ("--row-table users --reference orders.user_id=users", "--reference names orders"),
        ("--row-table users --tenant-setting work_mem", "is not the name of a setting"),
        ("--row-table users --tenant-column=", "empty"),
    ] {
        let words = ["migrate", "new", "x"].into_iter().chain(arguments.split(' '));
        let ran = folder.tenantry(words).run().await;
        assert_eq!(ran.code, Some(2), "{arguments}: {}", ran.stdout);
        assert!(ran.stderr.contains(part), "{arguments}: {}", ran.stderr);
    }
    assert!(!folder.path().join("migrations/tenants/0003_x.sql").exists());
}
