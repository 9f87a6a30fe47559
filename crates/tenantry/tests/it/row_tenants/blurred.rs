//! A tenant column whose collation takes keys that differ for equal: nothing is done to rows that may be another tenant's.

use tenantry::{
    ErrorKind,
    clone::CloneOptions,
    provision::{CreateOptions, DropOptions},
    rows::{ExportOptions, RestoreOptions, RowsRule},
};

use super::{Login, Scene, table};
use crate::support::{TestResult, run};

fn notes(role: &str) -> String {
    table("notes", "id int, primary key (tenant_id, id)", role)
}

/// Changes the collation of the tenant column, which policies use.
fn collate(collation: &str) -> String {
    let policies = notes("").split_once("create policy").map(|(_, rest)| rest.to_owned());
    let policies = policies.expect("the table has policies").replace(" notes ", " app.notes ");
    let (policies, _grants) = policies.split_once("grant").expect("the table has grants");
    format!(
        "drop policy tenantry_all on app.notes; drop policy tenantry_tenant on app.notes; \
         alter table app.notes alter tenant_id type text collate {collation}; create policy {policies}"
    )
}

#[tokio::test]
async fn rows_of_keys_that_are_equal_are_neither_deleted_nor_copied() -> TestResult {
    let mut scene = Scene::with(Login::Superuser, notes).await;
    for tenant in ["acme", "globex"] {
        scene.provisioner().create(tenant, CreateOptions::default()).await?;
        run(&scene.manager.tenant(tenant).await?, "insert into notes (id) values (1)").await;
    }
    let provisioner = scene.provisioner();
    let mut file = Vec::new();
    provisioner.export_rows("acme", &mut file, ExportOptions::default()).await?;
    let blurred = "create collation app.blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false); ";
    run(&mut scene.admin, &(blurred.to_owned() + &collate("app.blurred"))).await;
    let found = scene.manager.verify_rows().await?;
    let errors: Vec<_> = found.errors().map(|found| (found.rule, &*found.object)).collect();
    assert!(errors.contains(&(RowsRule::ColumnType, "notes")), "{errors:?}");
    assert!(scene.manager.refuse_unsafe_rows().await.is_err());

    let data = CloneOptions::default().data(true);
    let back = RestoreOptions::default().replace(true);
    let other = CreateOptions::default().key("ACME");
    let refused = [
        provisioner.create("other", other).await.map(drop),
        provisioner.clone_tenant("acme", "other", data.clone()).await.map(drop),
        provisioner.clone_tenant("acme", "other", data.exclude_tables(["notes"])).await.map(drop),
        provisioner.export_rows("acme", &mut Vec::new(), ExportOptions::default()).await.map(drop),
        provisioner.restore_rows("acme", &file[..], back).await.map(drop),
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{error}");
        let why = "the collation of column app.notes.tenant_id is not deterministic";
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(scene.rows("notes").await, "acme 1, globex 1");
    // The tenant is still served, and the cure is the one that the message names.
    scene.manager.tenant("acme").await?;
    run(&mut scene.admin, &collate("\"C\"")).await;
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    assert_eq!(scene.rows("notes").await, "globex 1");
    scene.manager.close().await;
    Ok(())
}
