//! What cannot be exported or restored, and why.

use tenantry::{
    ErrorKind, IsolationKind,
    clone::CloneOptions,
    provision::{CreateOptions, DropOptions},
    rows::{ExportOptions, RestoreOptions},
};

use super::{Login, Scene, beside, listed, plain};
use crate::support::{TestResult, run};

#[tokio::test]
async fn a_tenant_with_a_schema_has_no_rows_to_export() -> TestResult {
    let scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let file = scene.export("acme").await;
    let provisioner = scene.provisioner();
    let create = CreateOptions::default().isolation(IsolationKind::Schema);
    provisioner.create("own", create).await?;
    let mut written = Vec::new();
    let exported = provisioner.export_rows("own", &mut written, ExportOptions::default()).await;
    let restored = provisioner.restore_rows("own", &file[..], plain()).await;
    for error in [exported.unwrap_err(), restored.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        assert!(error.to_string().contains("it has tables of its own"), "{error}");
    }
    assert_eq!(written, b"");
    let unknown = provisioner.export_rows("nemo", &mut written, ExportOptions::default()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::UnknownTenant);
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_table_whose_rows_are_hidden_is_not_taken_for_empty() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    run(&mut scene.admin, "alter policy tenantry_all on app.users to pg_monitor").await;
    let mut file = Vec::new();
    let provisioner = scene.provisioner();
    let exported = provisioner.export_rows("acme", &mut file, ExportOptions::default());
    let exported = exported.await.unwrap_err();
    let copy = CloneOptions::default().data(true);
    let cloned = provisioner.clone_tenant("acme", "copy", copy.clone()).await.unwrap_err();
    let part =
        provisioner.clone_tenant("acme", "copy", copy.exclude_tables(["notes"])).await.unwrap_err();
    let dropped =
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.unwrap_err();
    for error in [exported, cloned, part, dropped] {
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        let words = "no policy of table app.users lets the manager's role";
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(file, b"");
    let listed = scene.manager.tenants().await?;
    assert_eq!(listed.len(), 1, "it is not dropped, and there is no copy: {listed:?}");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn options_and_tenants_that_do_not_go_together_are_refused() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme", "globex"]).await;
    let file = scene.export("acme").await;
    let role: tenantry::Ident = scene.role.parse()?;
    let options: [RestoreOptions; 3] = [
        plain().key("other"),
        plain().role(role),
        plain().attributes(serde_json::json!({ "a": 1 })),
    ];
    for options in options {
        let error = scene.restore("globex", &file, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("only a new one gets a key, a role"), "{error}");
    }
    let error = scene.refusal(&file, beside().key("globex")).await;
    assert!(error.to_string().contains("its key \"globex\" is that of tenant globex"), "{error}");
    // Rows without a tenant.
    run(&mut scene.admin, "insert into app.users values ('lost', 1, 'x')").await;
    let error = scene.refusal(&file, beside().key("lost")).await;
    assert!(
        error.to_string().contains("has rows with its key \"lost\" already: choose another"),
        "{error}"
    );
    // A list that cannot be written to has to have the tenant.
    let fixed = scene.builder().catalog(listed(&["acme", "empty"])).build()?;
    let report = fixed.provisioner().restore_rows("empty", &file[..], beside()).await?;
    assert_eq!((report.created, report.rows()), (false, 6));
    let error = fixed.provisioner().restore_rows("copy", &file[..], beside()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("add the tenant there"), "{error}");
    fixed.close().await;
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_changes_the_rows_fails_the_restore() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let file = scene.export("acme").await;
    for body in ["new.name := upper(new.name); return new;", "return null;"] {
        run(
            &mut scene.admin,
            &format!(
                "create or replace function app.shout() returns trigger language plpgsql as \
                 'begin {body} end'; create or replace trigger shout before insert on app.users \
                 for each row execute function app.shout()"
            ),
        )
        .await;
        let error = scene.refusal(&file, beside()).await;
        assert_eq!(error.kind(), ErrorKind::RowsFile);
        assert!(error.to_string().contains("table users has other rows than the file"), "{error}");
    }
    assert_eq!(scene.rows("users").await, "acme 3");
    scene.manager.close().await;
    Ok(())
}
