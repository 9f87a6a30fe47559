//! An archive that is not as it was written is refused before anything is created.

use std::fs;

use tenantry::{
    Error, ErrorKind, TenantManager,
    archive::{ExportOptions, ImportOptions},
};

use super::{Shelf, forge, forge_rows};
use crate::support::{TestResult, World, observe};

/// A database with a tenant `acme`, whose archive is `acme`.
struct Scene {
    world: World,
    manager: TenantManager,
    shelf: Shelf,
}

impl Scene {
    async fn new() -> Self {
        let world = World::with_tenants(&["acme"]).await;
        let (manager, shelf) = (world.manager(), Shelf::new());
        let archiver = manager.archiver();
        let exported = archiver.export("acme", shelf.at("acme"), ExportOptions::default());
        exported.await.expect("it is exported");
        Self { world, manager, shelf }
    }

    /// Returns why an archive is refused. There is nothing of the tenant afterwards.
    async fn refusal(&self, archive: &std::path::Path) -> Error {
        let archiver = self.manager.archiver();
        let imported = archiver.import(archive, "copy", ImportOptions::default());
        let error = imported.await.expect_err("it is not as it was written");
        let unknown = self.manager.tenant("copy").await.expect_err("it was not created");
        assert_eq!(unknown.kind(), ErrorKind::UnknownTenant);
        let schemas = "select count(*)::text from pg_namespace where nspname ~ '^tenant(ry)?_'";
        let mut admin = self.world.admin().await;
        assert_eq!(observe(&mut admin, schemas).await, "Some(\"1\")", "{error:?}");
        error
    }
}

#[tokio::test]
async fn damage_is_found_and_its_file_is_named() -> TestResult {
    let scene = Scene::new().await;
    let files = ["manifest.json", "SHA256SUMS", "schema.json", "schema.sql", "rows/00001.copy"];
    for (number, file) in files.into_iter().enumerate() {
        let whole = fs::read(scene.shelf.at("acme").join(file))?;
        let cut = whole[..whole.len() - 1].to_vec();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let longer = [&whole[..], b"\n"].concat();
        for (how, content) in [Some(cut), Some(flipped), Some(longer), None].into_iter().enumerate()
        {
            let archive = scene.shelf.copy("acme", &format!("broken-{number}-{how}"));
            match content {
                Some(content) => fs::write(archive.join(file), content)?,
                None => fs::remove_file(archive.join(file))?,
            }
            let verified = scene.manager.archiver().verify(&archive).await;
            assert_eq!(verified.expect_err("it is broken").kind(), ErrorKind::Archive);
            let error = scene.refusal(&archive).await;
            assert_eq!(error.kind(), ErrorKind::Archive, "{file} {how}: {error:?}");
            assert!(error.to_string().contains(file), "{file} {how}: {error}");
        }
    }
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_archive_of_a_newer_version_is_named_as_such() -> TestResult {
    let scene = Scene::new().await;
    let archive = scene.shelf.copy("acme", "newer");
    forge(&archive, |manifest| {
        manifest["format"] = 2.into();
        manifest["tenantryVersion"] = "7.5.0".into();
        manifest["more"] = true.into();
    });
    let error = scene.refusal(&archive).await;
    assert_eq!(error.kind(), ErrorKind::Archive);
    let told = error.to_string();
    for part in [
        "its format is 2",
        "Tenantry 7.5.0",
        concat!("this is Tenantry ", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(told.contains(part), "{told}");
    }
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_manifest_that_does_not_fit_its_files_is_refused() -> TestResult {
    let scene = Scene::new().await;
    let outside = scene.shelf.at("outside");
    fs::write(&outside, "acme\n")?;
    type Change = dyn Fn(&mut serde_json::Value);
    let changes: [(&str, &Change); 6] = [
        ("gets 1 rows from the file rows/00001.copy, which had 2", &|it| {
            it["tables"][0]["rows"] = 2.into();
        }),
        ("it lists ../outside in the place of rows/00001.copy", &|it| {
            it["tables"][0]["file"]["name"] = "../outside".into();
        }),
        ("it lists /etc/passwd in the place of schema.json", &|it| {
            it["model"]["name"] = "/etc/passwd".into();
        }),
        ("its tables are not those of its structure", &|it| {
            it["tables"] = serde_json::json!([]);
        }),
        ("its tables are not those of its structure", &|it| {
            it["tables"][0]["columns"] = serde_json::json!(["other"]);
        }),
        ("its schema.json has not the fingerprint", &|it| {
            it["fingerprint"] = "00".into();
        }),
    ];
    for (number, (told, change)) in changes.into_iter().enumerate() {
        let archive = scene.shelf.copy("acme", &format!("forged-{number}"));
        forge(&archive, change);
        let error = scene.refusal(&archive).await;
        assert_eq!(error.kind(), ErrorKind::Archive, "{error:?}");
        assert!(error.to_string().contains(told), "{told}: {error}");
    }
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn rows_that_do_not_fit_leave_nothing() -> TestResult {
    let scene = Scene::new().await;
    for (rows, kind) in [
        ("a\tb\tc\n", ErrorKind::InvalidValue),
        ("1\t\u{0}\n", ErrorKind::InvalidValue),
        ("1\ta\n1\tb\n", ErrorKind::UniqueViolation),
        ("1\tacme\n\\.\n2\tother\n", ErrorKind::InvalidValue),
    ] {
        let archive = scene.shelf.copy("acme", &format!("rows-{}", rows.len()));
        forge_rows(&archive, "users", rows);
        let error = scene.refusal(&archive).await;
        let is_expected = [kind, ErrorKind::Database, ErrorKind::Archive].contains(&error.kind());
        assert!(is_expected, "{rows:?}: {error:?}");
        assert!(error.to_string().contains("users"), "{rows:?}: {error}");
    }
    scene.manager.close().await;
    Ok(())
}
