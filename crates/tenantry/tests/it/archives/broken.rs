//! An archive that is not as it was written is refused before anything is created.

use std::fs;

use tenantry::{
    Error, ErrorKind, TenantManager,
    archive::{ExportOptions, ImportOptions},
};

use super::{Shelf, forge, forge_rows};
use crate::support::{TestResult, World, observe, run};

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

/// Other versions can list the tables and their columns in another order.
#[tokio::test]
async fn the_order_of_the_manifest_does_not_matter() -> TestResult {
    let scene = Scene::new().await;
    let mut admin = scene.world.admin().await;
    run(
        &mut admin,
        "create schema tenant_shop; set search_path to tenant_shop; \
         create table a (id int primary key, x text); create table b (id serial primary key, a int references a); \
         create table c (id int primary key, kind regclass, y text); create sequence s; \
         create function known(int) returns boolean language sql as \
           'select exists (select from tenant_shop.a where id = $1)'; \
         create table d (a int check (known(a))); \
         insert into a values (1, 'one'), (2, 'two'); insert into b (a) values (1), (2), (2); \
         insert into c values (7, 'tenant_shop.a', 'y'); insert into d values (2); select nextval('s')",
    )
    .await;
    let archiver = scene.manager.archiver();
    archiver.export("shop", scene.shelf.at("shop"), ExportOptions::default()).await?;
    let rows = "select concat_ws(' ', (select string_agg(x, ',' order by id) from tenant_copy.a), \
                (select string_agg(id || '-' || a, ',' order by id) from tenant_copy.b), \
                (select id || kind::text || y from tenant_copy.c), (select a from tenant_copy.d), \
                nextval('tenant_copy.b_id_seq'), nextval('tenant_copy.s'))";
    for turn in 0..4 {
        let archive = scene.shelf.copy("shop", &format!("turned-{turn}"));
        let mut order = Vec::new();
        forge(&archive, |manifest| {
            let tables = manifest["tables"].as_array_mut().expect("it is a list");
            match turn {
                0 => tables.reverse(),
                turn => tables.rotate_left(turn),
            }
            // Files have the numbers of their tables.
            for (place, table) in tables.iter_mut().enumerate() {
                let name = format!("rows/{:05}.copy", place + 1);
                let former = table["file"]["name"].as_str().expect("it is a name");
                let from = scene.shelf.at("shop").join(former);
                fs::copy(from, archive.join(&name)).expect("it is copied");
                table["file"]["name"] = name.into();
                order.push(table["name"].as_str().expect("it is a name").to_owned());
            }
            let of_c = tables.iter_mut().find(|it| it["name"] == "c").expect("it has the table");
            of_c["columns"] = serde_json::json!(["y", "id", "kind"]);
            manifest["sequences"].as_array_mut().expect("it is a list").reverse();
        });
        forge_rows(&archive, "c", "y\t7\ttenant_shop.a\n");
        let copy = format!("copy{turn}");
        let imported = archiver.import(&archive, &*copy, ImportOptions::default()).await;
        let imported = imported.unwrap_or_else(|error| panic!("{order:?}: {error:?}"));
        assert_eq!(imported.rows(), 7, "{order:?}");
        let expected = format!("Some(\"one,two 1-1,2-2,3-2 7tenant_{copy}.ay 2 4 2\")");
        let rows = rows.replace("tenant_copy", &format!("tenant_{copy}"));
        assert_eq!(observe(&mut admin, &rows).await, expected, "{order:?}");
    }
    // What is not there, and what is there twice.
    type Change = dyn Fn(&mut serde_json::Value);
    let changes: [(&str, &Change); 4] = [
        ("its tables are not those of its structure", &|it| it["name"] = "a".into()),
        ("its tables are not those of its structure", &|it| it["name"] = "z".into()),
        ("its tables are not those of its structure", &|it| {
            it["columns"] = serde_json::json!(["id", "id", "y"]);
        }),
        ("its tables are not those of its structure", &|it| {
            it["columns"] = serde_json::json!(["id", "kind", "y", "z"]);
        }),
    ];
    for (number, (told, change)) in changes.into_iter().enumerate() {
        let archive = scene.shelf.copy("shop", &format!("forged-{number}"));
        forge(&archive, |manifest| {
            let tables = manifest["tables"].as_array_mut().expect("it is a list");
            change(tables.iter_mut().find(|it| it["name"] == "c").expect("it has the table"));
        });
        let imported = archiver.import(&archive, "copy", ImportOptions::default()).await;
        let error = imported.expect_err("it is not what was exported");
        assert!(error.to_string().contains(told), "{error}");
    }
    for number in 0..2 {
        let archive = scene.shelf.copy("shop", &format!("sequences-{number}"));
        forge(&archive, |manifest| {
            let sequences = manifest["sequences"].as_array_mut().expect("it is a list");
            match number {
                0 => drop(sequences.pop()),
                _ => sequences[0]["name"] = sequences[1]["name"].clone(),
            }
        });
        let imported = archiver.import(&archive, "copy", ImportOptions::default()).await;
        let error = imported.expect_err("a sequence would start again");
        let told = "its sequences are not those of its structure";
        assert!(error.to_string().contains(told), "{error}");
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
