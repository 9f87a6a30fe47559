//! What migration runs remember of tenants, against the records that the tenants have.

use tenantry::{
    drift::{DriftStatus, Reference},
    migrate::{MigrateOptions, Schemas},
};

use crate::{
    migrate::{Files, Homes, records, values},
    support::{TestResult, connect, run},
};

/// The tenants that are remembered to have all files.
async fn remembered(homes: &Homes) -> Vec<String> {
    let sql = "select tenant from tenantry_migrated where files is not null order by 1";
    values(&homes.main.url(), sql).await
}

#[tokio::test]
async fn what_is_remembered_wrongly_is_found_and_forgotten() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate_all(MigrateOptions::default()).await?.is_success());
    let names = ["a", "b", "c"].map(Into::into);
    let drift = manager.drift().of(Schemas::Tenants(names.into()));
    let report = drift.run().await?;
    assert!(report.is_clean(), "{report}");
    assert_eq!(remembered(&homes).await, ["a", "b", "c", "d", "e", "f"]);

    // The schema is as it was: only the records are not.
    let forge = "delete from tenant_c._sqlx_migrations where version = 2";
    run(&mut connect(&homes.url_of("c")).await, forge).await;
    let report = drift.run().await?;
    assert!(!report.is_clean() && report.with_drift == 0, "{report}");
    let found: Vec<_> = report.misremembered().collect();
    assert_eq!(found.len(), 1, "{report}");
    let (tenant, wrong) = found[0];
    assert_eq!((&*tenant.tenant_id, tenant.status), ("c", DriftStatus::Same));
    assert!(wrong.what.contains("version 2 is not recorded"), "{wrong}");
    assert!(wrong.forgotten && wrong.how.starts_with("deploy again"), "{wrong}");
    assert!(report.to_string().contains("c: it is remembered to have all files"), "{report}");
    let json = serde_json::to_value(&report)?;
    let of = |id: &str| {
        let all = json["details"].as_array().expect("it is a list");
        all.iter().find(|tenant| tenant["tenantId"] == id).expect("it is there").clone()
    };
    assert_eq!(of("c")["misremembered"]["forgotten"], true);
    assert!(of("a").get("misremembered").is_none());
    assert_eq!(remembered(&homes).await, ["a", "b", "d", "e", "f"]);
    assert!(drift.run().await?.is_clean(), "it is forgotten");

    // Databases come with a schema `public` that has another owner than the tenants' schemas.
    let all = manager.drift().run().await?;
    assert_eq!((all.with_drift, all.details.len()), (0, 6), "{all}");

    // The files say what must be recorded, even if no other tenant does.
    for id in ["a", "b", "d", "e", "f"] {
        let schema = if ["a", "b"].contains(&id) { &format!("tenant_{id}") } else { "public" };
        let forge = format!("delete from {schema}._sqlx_migrations where version = 2");
        run(&mut connect(&homes.url_of(id)).await, &forge).await;
    }
    assert_eq!(manager.drift().run().await?.misremembered().count(), 0, "they are alike");
    let report = manager.drift().against(Reference::Migrations(files.read())).run().await?;
    assert_eq!(report.misremembered().count(), 5, "{report}");
    assert_eq!(remembered(&homes).await, [""; 0]);
    manager.close().await;
    Ok(())
}
