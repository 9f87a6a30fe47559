//! `archive`, `diff` and `merge`: yesterday beside today, and rows that come back.

use std::fs;

use serde_json::Value;

use crate::{
    json::check,
    support::{Fleet, execute, value},
};

const EMAILS: &str = "select string_agg(email, ' ' order by id) from tenant_acme.users";

async fn filled() -> Fleet {
    let fleet = Fleet::new().await;
    let fill = "set search_path to tenant_acme; insert into users (email) select 'u' || n from generate_series(1, 5) n; \
                insert into orders (user_id, total) select n, n from generate_series(1, 5) n";
    execute(&mut fleet.admin().await, fill).await;
    fleet
}

#[tokio::test]
async fn a_customers_yesterday_gives_rows_back() {
    let fleet = filled().await;
    let ran = fleet.run("archive export acme yesterday --json").await.ended_with(0);
    let exported = check("archive-export", &ran);
    assert_eq!(exported["manifest"]["tenantId"], "acme");
    fleet.run("archive export acme yesterday").await.ended_with(2).says("exists already");
    let ran = fleet.run("archive verify yesterday").await.ended_with(0);
    assert!(ran.stdout.starts_with("yesterday is whole: "), "{ran:?}");
    assert!(
        check("archive-verify", &fleet.run("archive verify yesterday --json").await)["error"]
            .is_null()
    );
    let shown = fleet.run("archive show yesterday").await.ended_with(0);
    let shown = shown.says("tenant acme as of 20").says("schema tenant_acme on server main");
    shown.says("\n  users: 5 rows").never_says("\x1b");
    check("archive-show", &fleet.run("archive show yesterday --json").await);

    let mut admin = fleet.admin().await;
    let today = "set search_path to tenant_acme; delete from orders where id < 4; delete from users where id in (1, 2); \
                 update users set email = 'new' where id = 3; insert into users (email) values ('today')";
    execute(&mut admin, today).await;
    let words =
        ["archive", "import", "yesterday", "acme-yesterday", "--attributes", "of=acme", "--json"];
    let ran = fleet.tenantry(words).run().await.ended_with(0);
    assert_eq!(check("archive-import", &ran)["schemaName"], "tenant_acme-yesterday");
    let ran =
        fleet.run("diff acme-yesterday acme --table users --table orders").await.ended_with(1);
    let ran =
        ran.says("users: 5 and 4 rows, 2 only in the first, 1 only in the second, 1 different");
    ran.says("\n  users (3): different: email").says("\n  users (1): only in acme-yesterday");

    // Nothing happens without a choice and a confirmation.
    fleet.run("merge acme-yesterday acme").await.ended_with(2).says("--everything");
    let ran = fleet.run("merge acme-yesterday acme --table users").await.ended_with(2);
    ran.says("merging rows of tenant acme-yesterday into tenant acme must be confirmed")
        .says("use --yes");
    let ran = fleet.run("merge acme-yesterday acme --row orders=1 --yes").await.ended_with(2);
    ran.says("a row refers to one that the target would not have").says("orders_user_id_fkey");
    fleet.run("merge acme-yesterday acme --row orders --yes").await.ended_with(2).says("has no =");
    assert_eq!(value(&mut admin, EMAILS).await, "new u4 u5 today");

    let chosen = "merge acme-yesterday acme --row users=1 --row orders=[\"1\"]";
    let planned =
        check("merge", &fleet.run(&format!("{chosen} --dry-run --json")).await.ended_with(0));
    assert_eq!(planned["dryRun"], true);
    let ran = fleet.run(&format!("{chosen} --yes")).await.ended_with(0);
    let ran = ran.says("merged 2 rows of tenant acme-yesterday into tenant acme");
    ran.says("\n  users (1): inserted").says("\n  orders (1): inserted");
    assert_eq!(value(&mut admin, EMAILS).await, "u1 new u4 u5 today");

    // By what a comparison says, which may be edited.
    let compared = fleet.run("diff acme-yesterday acme --json").await.ended_with(1);
    let mut diff: Value = check("diff", &compared);
    for table in diff["tables"].as_array_mut().expect("tables") {
        table["rows"].as_array_mut().expect("rows").retain(|row| row["found"] == "onlyInFirst");
    }
    fleet.folder.write("diff.json", diff.to_string());
    execute(
        &mut admin,
        "insert into tenant_acme.users (id, email) overriding system value values (2, 'taken')",
    )
    .await;
    let by_diff = ["merge", "acme-yesterday", "acme", "--diff", "diff.json", "--yes"];
    let ran = fleet.tenantry(by_diff).run().await.ended_with(2);
    ran.says("these have changed since they were compared: users (2): compare the tenants again, or allow it with --even-if-changed");
    let changed = fleet.tenantry(by_diff.iter().chain(&["--even-if-changed", "--strict"]));
    let ran = changed.run().await.ended_with(1);
    ran.says("note: users: 1 row changed since they were compared: (2)");
    assert_eq!(value(&mut admin, EMAILS).await, "u1 u2 new u4 u5 today");
    assert_eq!(value(&mut admin, "select count(*) from tenant_acme.orders").await, "5");

    let all = [
        "merge",
        "acme-yesterday",
        "acme",
        "--diff",
        "-",
        "--everything",
        "--delete",
        "--yes",
        "--json",
    ];
    let ran = fleet.tenantry(all).stdin(compared.stdout).run().await.ended_with(0);
    assert_eq!(check("merge", &ran)["tables"].as_array().map(Vec::len), Some(2));
    fleet.run("diff acme-yesterday acme").await.ended_with(0).says("the same in");
}

#[tokio::test]
async fn what_is_damaged_or_missing_is_told() {
    let fleet = filled().await;
    fleet.run("archive export acme acme").await.ended_with(0);
    fleet.run("archive export nemo nemo").await.ended_with(2).says("nemo");
    let file = fleet.folder.path().join("acme/rows/00001.copy");
    let rows = fs::read(&file).unwrap();
    fs::write(&file, [&rows[..], b"more\n"].concat()).unwrap();
    fleet.run("archive verify acme").await.ended_with(1).says("acme is not whole: ");
    let check =
        check("archive-verify", &fleet.run("archive verify acme --json").await.ended_with(1));
    assert!(check["error"].as_str().expect("an error").contains("rows/00001.copy"), "{check}");
    fleet.run("archive import acme copy").await.ended_with(2).says("rows/00001.copy");
    fleet.run("archive show nowhere").await.ended_with(2).says("manifest.json");
    fleet.run("archive import acme copy --server mars").await.ended_with(2);
    fleet.run("diff acme globex --table nubmers").await.ended_with(2).says("neither has a table");
    fleet.folder.write("diff.json", "{}");
    let ran = fleet.run("merge acme globex --diff diff.json --yes").await.ended_with(2);
    ran.says("reading the comparison diff.json").says("tenantry diff --json");
}
