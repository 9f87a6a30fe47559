//! A file that was made to do harm does none.

use tenantry::ErrorKind;

use super::{Login, Scene, USERS, beside, ended, forged, header, of_users, plain, table};
use crate::support::{TestResult, observe, run};

#[tokio::test]
async fn only_columns_of_the_tenants_tables_are_written() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme"]).await;
        let text = [("id", "text")];
        for (tables, why) in [
            (("pg_authid", &text[..]), "there is no table pg_authid with the column tenant_id"),
            (("_sqlx_migrations", &text[..]), "there is no table _sqlx_migrations with the column"),
            (("_tenantry_row_seeds", &text[..]), "there is no table _tenantry_row_seeds with the"),
            (("users; drop table users", &text[..]), "there is no table users; drop table users"),
            (
                ("users", &[("tenant_id", "text"), ("id", "integer"), ("name", "text")][..]),
                "users.tenant_id has the tenants' key, which comes from the catalog",
            ),
            (
                ("users", &[("id", "integer"), ("name", "text"), ("ctid", "tid")][..]),
                "there is no column users.ctid, or it is generated",
            ),
            (
                ("users", &[("id", "regclass"), ("name", "text")][..]),
                "users.id is of type integer and not regclass",
            ),
            (("users", &[("id", "integer")][..]), "the file has no column users.name"),
        ] {
            let file = forged(&header(&[tables]), &[(tables.0, "")]);
            let error = scene.refusal(&file, plain()).await;
            assert_eq!(error.kind(), ErrorKind::RowsFile, "{error}");
            assert!(error.to_string().contains(why), "{why}: {error}");
        }
        let error = scene.refusal(&forged(&header(&[USERS, USERS]), &[]), plain()).await;
        assert!(error.to_string().contains("it has the table users twice"), "{error}");
        assert_eq!(scene.rows("users").await, "acme 3");
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_are_no_rows_are_refused() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    let cut = "tenantry rows 1\n".to_owned() + &header(&[USERS]) + "\n";
    let long =
        |text: &str| ended(format!("{cut}{text}\\.\n{{\"table\":\"users\",\"rows\":1}}\n"), 1, 1);
    for (file, why) in [
        (of_users("1\n"), "reading the rows of table users in the file"),
        (of_users("1\ta\t\\N\textra\n"), "reading the rows of table users in the file"),
        (of_users("1\ta\t\\N\n\\.\r\n2\tb\t\\N\n"), "table users"),
        (of_users("1\ta\t\\N\n\\.x\n2\tb\t\\N\n"), "table users"),
        (of_users("1\ta\t\\N\n2\tb\\\nc\t\\N\n"), "PostgreSQL reads 2 of 3 rows of table users"),
        (of_users("1\ta\u{0}b\t\\N\n"), "reading the rows of table users in the file"),
        (of_users("99999999999\ta\t\\N\n"), "reading the rows of table users in the file"),
        // The end comes early, and the rest is no line that may follow it.
        (long("1\ta\t\\N\n\\.\n2\tb\t\\N\n"), "it is damaged after the rows of table users"),
        (long("1\ta\t\\N\n2\tb\t\\N\n"), "it has 2 rows of table users, and 1 of table users"),
        (
            ended(format!("{cut}1\ta\t\\N\n\\.\n{{\"table\":\"users\",\"rows\":1}}\n"), 2, 1),
            "its content is not what was written",
        ),
        // A foreign key and two rows with one id.
        (of_users("1\ta\t7\n"), "inserting the rows of table users"),
        (of_users("1\ta\t\\N\n1\tb\t\\N\n"), "inserting the rows of table users"),
        (of_users("1\t\\N\t\\N\n"), "inserting the rows of table users"),
        (b"PGDMP".to_vec(), "it is not a file with the rows of a tenant"),
        (Vec::new(), "it is not a file with the rows of a tenant"),
        (b"tenantry rows 1\n{}\n".to_vec(), "its header is damaged: missing field"),
    ] {
        let error = scene.refusal(&file, plain()).await;
        assert!(error.to_string().contains(why), "{why}: {error:?}");
    }
    let endless = [b"tenantry rows 1\n".to_vec(), vec![b' '; 17 * 1024 * 1024]].concat();
    let error = scene.refusal(&endless, plain()).await;
    assert!(error.to_string().contains("its header is too long"), "{error}");
    assert_eq!(scene.rows("users").await, "acme 3");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn ids_of_another_tenant_are_neither_taken_nor_referred_to() -> TestResult {
    let tables = |role: &str| {
        table("owners", "id int primary key, name text", role)
            + &table(
                "pets",
                "id int, owner int references owners, primary key (tenant_id, id)",
                role,
            )
    };
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::with(login, tables).await;
        scene.provisioner().create("acme", Default::default()).await?;
        let acme = scene.manager.tenant("acme").await?;
        run(&acme, "insert into owners (id, name) values (1, 'a')").await;
        run(&acme, "insert into pets (id, owner) values (1, 1)").await;
        let file = scene.export("acme").await;
        let error = scene.refusal(&file, plain()).await;
        assert_eq!(error.kind(), ErrorKind::UniqueViolation, "{login:?}: {error:?}");
        let why = "another tenant has values of table owners that its unique key owners_pkey allows once among all tenants";
        assert!(error.to_string().contains(why), "{error}");
        let error = scene.refusal(&file, beside()).await;
        assert!(
            error.to_string().contains("the foreign key pets_owner_fkey of table pets"),
            "{error}"
        );
        // The foreign key itself accepts a row of another tenant.
        let pets = ("pets", &[("id", "integer"), ("owner", "integer")][..]);
        let file = forged(&header(&[pets]), &[("pets", "1\t1\n")]);
        let error = scene.refusal(&file, plain()).await;
        let why = "rows of table pets refer to rows of table owners that are another tenant's, by the foreign key \
                   pets_owner_fkey";
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(scene.rows("owners").await, "acme 1");
        assert_eq!(scene.rows("pets").await, "acme 1");
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_sequence_of_all_tenants_is_not_used_up() -> TestResult {
    let tables = |role: &str| table("items", "id serial, primary key (tenant_id, id)", role);
    let mut scene = Scene::with(Login::Owner, tables).await;
    scene.provisioner().create("acme", Default::default()).await?;
    let items = ("items", &[("id", "integer")][..]);
    let file = |id: &str| forged(&header(&[items]), &[("items", &format!("{id}\n"))]);
    let error = scene.refusal(&file("2147483647"), plain()).await;
    let why = "table items has 2147483647 as its id, which would leave the sequence items_id_seq";
    assert!(error.to_string().contains(why), "{error}");
    let next = "select nextval('app.items_id_seq')::text";
    assert_eq!(observe(&mut scene.admin, next).await, "Some(\"1\")");
    for (tenant, id, expected) in
        [("a", "500", "501"), ("b", "1000000", "1000001"), ("c", "9", "1000002")]
    {
        scene.restore(tenant, &file(id), plain()).await?;
        assert_eq!(observe(&mut scene.admin, next).await, format!("Some(\"{expected}\")"));
    }
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_sequence_with_more_values_than_its_column_is_not_used_up() -> TestResult {
    let tables = |role: &str| {
        "create sequence numbers;".to_owned()
            + &table(
                "items",
                "id int default nextval('numbers'), primary key (tenant_id, id)",
                role,
            )
    };
    let mut scene = Scene::with(Login::Superuser, tables).await;
    let items = ("items", &[("id", "integer")][..]);
    let file = forged(&header(&[items]), &[("items", "2147483647\n")]);
    let error = scene.refusal(&file, plain()).await;
    let why = "table items has 2147483647 as its id, which would leave the sequence numbers";
    assert!(error.to_string().contains(why), "{error}");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_sequence_of_two_columns_is_not_set_back() -> TestResult {
    let tables = |role: &str| {
        let columns = "a bigint default nextval('numbers'), b bigint default nextval('numbers'), \
                       primary key (tenant_id, a)";
        "create sequence numbers;".to_owned() + &table("items", columns, role)
    };
    let mut scene = Scene::with(Login::Superuser, tables).await;
    let items = ("items", &[("a", "bigint"), ("b", "bigint")][..]);
    let file = forged(&header(&[items]), &[("items", "5000000\t1000000\n")]);
    scene.restore("acme", &file, plain()).await?;
    let next = "select nextval('app.numbers')::text";
    assert_eq!(observe(&mut scene.admin, next).await, "Some(\"5000001\")");
    scene.manager.close().await;
    Ok(())
}

/// A sequence that was set and not drawn from since has no last value.
#[tokio::test]
async fn a_sequence_that_was_restarted_is_not_set_back() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let tables = |role: &str| table("items", "id serial, primary key (tenant_id, id)", role);
        let mut scene = Scene::with(login, tables).await;
        let items = ("items", &[("id", "integer")][..]);
        let file = |id: &str| forged(&header(&[items]), &[("items", &format!("{id}\n"))]);
        let next = "select nextval('app.items_id_seq')::text";
        for (tenant, id, expected) in [("a", "30001", "40001"), ("b", "40001", "40002")] {
            let restart = "alter sequence app.items_id_seq restart with 40001";
            run(&mut scene.admin, restart).await;
            scene.restore(tenant, &file(id), plain()).await?;
            let found = observe(&mut scene.admin, next).await;
            assert_eq!(found, format!("Some(\"{expected}\")"), "{login:?} {id}");
        }
        scene.manager.close().await;
    }
    Ok(())
}

/// Who may use a sequence and not read it learns where it is by a number.
#[tokio::test]
async fn a_sequence_that_cannot_be_read_is_not_set_back() -> TestResult {
    let tables = |role: &str| table("items", "id int, primary key (tenant_id, id)", role);
    let mut scene = Scene::with(Login::Owner, tables).await;
    let role = scene.role.clone();
    run(
        &mut scene.admin,
        &format!(
            "create sequence app.numbers start 1000; grant usage on sequence app.numbers to {role}; \
             alter table app.items alter id set default nextval('app.numbers')"
        ),
    )
    .await;
    let items = ("items", &[("id", "integer")][..]);
    let file = |id: &str| forged(&header(&[items]), &[("items", &format!("{id}\n"))]);
    let next = "select nextval('app.numbers')::text";
    for (tenant, restart, id, expected) in
        [("a", 95, "100", "101"), ("b", 40001, "30000", "40002"), ("c", 95, "200", "201")]
    {
        run(&mut scene.admin, &format!("alter sequence app.numbers restart with {restart}")).await;
        scene.restore(tenant, &file(id), plain()).await?;
        assert_eq!(observe(&mut scene.admin, next).await, format!("Some(\"{expected}\")"), "{id}");
    }
    // With the privilege to set it.
    run(&mut scene.admin, &format!("grant update on sequence app.numbers to {role}")).await;
    for (tenant, restart, id, expected) in
        [("d", 40001, "30001", "40002"), ("e", 95, "50000", "50001")]
    {
        run(&mut scene.admin, &format!("alter sequence app.numbers restart with {restart}")).await;
        scene.restore(tenant, &file(id), plain()).await?;
        assert_eq!(observe(&mut scene.admin, next).await, format!("Some(\"{expected}\")"), "{id}");
    }
    scene.manager.close().await;
    Ok(())
}
