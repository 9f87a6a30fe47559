use tenantry::{
    TenantDb,
    seed::{Seed, SeedOptions},
};

use super::{Login, Scene, creates::anyhow_like};
use crate::support::{TestResult, observe, run};

fn options() -> SeedOptions {
    SeedOptions::default().concurrency(4)
}

#[tokio::test]
async fn every_tenant_is_seeded_once_and_in_its_own_rows() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme", "globex", "initech"]).await;
        let seeder = scene.manager.seeder();
        let closure = Seed::new("closure", |tx| {
            Box::pin(async move {
                let tenant = tx.tenant().map(ToString::to_string);
                let update = "update users set name = $1 || id";
                sqlx::query(update).bind(tenant).execute(&mut **tx).await?;
                Ok(())
            })
        });
        let report = seeder.seed(["acme"], &closure, options()).await?;
        assert_eq!((report.total, report.seeded), (1, 1), "{login:?}: {report}");
        let report = seeder.seed_all(&closure, options()).await?;
        assert_eq!((report.total, report.seeded, report.already), (3, 2, 1), "{report}");
        let names = "select string_agg(name, ' ' order by tenant_id, id) from app.users";
        let all = "Some(\"acme1 acme2 acme3 globex1 globex2 globex3 initech1 initech2 initech3\")";
        assert_eq!(observe(&mut scene.admin, names).await, all, "{login:?}");
        let outside = Seed::with_db("outside", |db: TenantDb| async move {
            sqlx::query("delete from notes").execute(&db).await.map(drop)
        });
        let report = seeder.seed(["globex"], &outside, options()).await?;
        assert!(report.is_success(), "{report}");
        assert_eq!(scene.rows("notes").await, "acme 3, initech 3");
        let report = seeder.seed(["globex"], &outside, options()).await?;
        assert_eq!(report.already, 1, "{report}");
        let file = Seed::sql("file", "delete from notes;").repeatable();
        let report = seeder.seed(["acme"], &file, options()).await?;
        assert_eq!(report.seeded, 1, "{report}");
        assert_eq!(scene.rows("notes").await, "initech 3");
    }
    Ok(())
}

#[tokio::test]
async fn a_seed_that_would_reach_every_tenant_is_refused() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme", "globex"]).await;
    run(&mut scene.admin, &format!("alter role {} bypassrls", scene.role)).await;
    let careless = Seed::sql("careless", "delete from notes;");
    let report = scene.manager.seeder().seed(["acme"], &careless, options()).await?;
    assert_eq!(report.failed, 1, "{report}");
    let error = report.into_result().unwrap_err();
    assert!(anyhow_like(&error).contains("row-level security does not keep role"), "{error}");
    assert_eq!(scene.rows("notes").await, "acme 3, globex 3");
    Ok(())
}
