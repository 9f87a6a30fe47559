//! Rows of tables that inherit from others are exported, copied, counted and deleted once.

use tenantry::{
    clone::CloneOptions,
    provision::{CreateOptions, DropOptions},
    rows::{ExportOptions, RestoreOptions},
};

use super::{Login, Scene, table};
use crate::support::{TestResult, observe, run};

/// Makes a table that a script creates inherit from another one.
fn heir(table: &str, parent: &str) -> String {
    let heir = table.replacen("); alter table", &format!(") inherits ({parent}); alter table"), 1);
    assert_ne!(heir, table);
    heir
}

/// Assets, of which some are cars, and trips with cars.
fn both(role: &str) -> String {
    let cars = table("cars", "wheels int, primary key (tenant_id, id)", role);
    let trips = "id int, car int, primary key (tenant_id, id), \
                 foreign key (tenant_id, car) references cars";
    assets(role) + &heir(&cars, "assets") + &table("trips", trips, role)
}

fn assets(role: &str) -> String {
    table("assets", "id int, name text, primary key (tenant_id, id)", role)
}

/// Cars in another schema.
fn cars_elsewhere(role: &str) -> String {
    let cars = table("more.cars", "wheels int, primary key (tenant_id, id)", role);
    format!("create schema more; grant usage on schema more to {role}; ")
        + &heir(&cars, "app.assets")
}

/// The assets belong to no tenant.
fn child_only(role: &str) -> String {
    let cars = table("cars", "wheels int, primary key (tenant_id, id)", role);
    "create table assets (id int, name text); ".to_owned() + &heir(&cars, "assets")
}

/// A way of inheriting, with the rows that the tenant adds, and how many of them each table of all tenants has.
struct Case {
    tables: fn(&str) -> String,
    /// Tables outside the schema.
    elsewhere: fn(&str) -> String,
    rows: &'static [&'static str],
    expected: &'static [(&'static str, u64)],
}

const CASES: [Case; 3] = [
    Case {
        tables: both,
        elsewhere: |_| String::new(),
        rows: &[
            "insert into assets (id, name) values (1, 'desk'), (2, 'lamp')",
            "insert into cars (id, name, wheels) values (11, 'red', 4), (12, 'blue', 3), (13, 'old', 4)",
            "insert into trips (id, car) values (1, 11)",
        ],
        expected: &[("assets", 2), ("cars", 3), ("trips", 1)],
    },
    Case {
        tables: assets,
        elsewhere: cars_elsewhere,
        rows: &[
            "insert into assets (id, name) values (1, 'desk'), (2, 'lamp')",
            "insert into more.cars (id, name, wheels) values (11, 'red', 4)",
        ],
        expected: &[("assets", 3)],
    },
    Case {
        tables: child_only,
        elsewhere: |_| String::new(),
        rows: &["insert into cars (id, name, wheels) values (11, 'red', 4), (12, 'blue', 3)"],
        expected: &[("cars", 2)],
    },
];

#[tokio::test]
async fn each_row_is_exported_copied_and_deleted_once() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        for Case { tables, elsewhere, rows, expected } in CASES {
            let mut scene = Scene::with(login, tables).await;
            run(&mut scene.admin, &elsewhere(&scene.role)).await;
            for tenant in ["acme", "globex"] {
                scene.provisioner().create(tenant, CreateOptions::default()).await?;
                let db = scene.manager.tenant(tenant).await?;
                for sql in rows {
                    run(&db, sql).await;
                }
            }
            let provisioner = scene.provisioner();
            let mut file = Vec::new();
            let export =
                provisioner.export_rows("acme", &mut file, ExportOptions::default()).await?;
            let found = |tables: &[tenantry::provision::TableRows]| {
                let mut found: Vec<_> =
                    tables.iter().map(|table| (table.table.to_string(), table.rows)).collect();
                found.sort();
                found
            };
            let expected: Vec<_> =
                expected.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect();
            assert_eq!(found(&export.tables), expected);

            let options = CloneOptions::default().data(true);
            let report = provisioner.clone_tenant("acme", "copy", options).await?;
            assert_eq!(report.rows(), export.rows());
            provisioner.restore_rows("again", &file[..], RestoreOptions::default()).await?;
            let back = RestoreOptions::default().replace(true);
            let back = provisioner.restore_rows("acme", &file[..], back).await?;
            assert_eq!(found(&back.deleted), expected);
            for (table, rows) in &expected {
                let own = match table.as_str() {
                    // A part of the rows has moved to it with the clone.
                    "assets" if expected.len() == 1 => continue,
                    _ => format!("acme {rows}, again {rows}, copy {rows}, globex {rows}"),
                };
                let sql = format!(
                    "select string_agg(tenant_id || ' ' || n, ', ' order by tenant_id) \
                     from (select tenant_id, count(*) as n from only app.{table} group by tenant_id) t"
                );
                assert_eq!(
                    observe(&mut scene.admin, &sql).await,
                    format!("Some({own:?})"),
                    "{table}"
                );
            }
            for tenant in ["copy", "again", "acme"] {
                let dropped =
                    provisioner.drop_tenant(tenant, tenant, DropOptions::default()).await?;
                assert_eq!(found(&dropped.rows), expected, "{tenant}");
            }
            for (table, rows) in &expected {
                assert_eq!(
                    scene.rows(table).await,
                    format!("globex {}", whole(table, &expected, *rows))
                );
            }
            scene.manager.close().await;
        }
    }
    Ok(())
}

/// Returns how many rows a query of a table returns, with those of tables that inherit from it.
fn whole(table: &str, expected: &[(String, u64)], rows: u64) -> u64 {
    let cars = expected.iter().find(|(name, _)| name == "cars").map_or(0, |(_, rows)| *rows);
    if table == "assets" { rows + cars } else { rows }
}
