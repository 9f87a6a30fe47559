use tenantry::{FixedCatalog, TenantRecord};

use super::{CHECKS, lines, statements};
use crate::support::{TestResult, World, run};

/// Names with what breaks quoting, lines, terminals, formats and sentences.
const NAMES: &[&str] = &[
    "quo\"te'd",
    "two\nlines\r",
    "\u{1b}[31mred\u{7}",
    "100 %s {} \\ $1",
    "\u{202e}drawkcab",
    "größe שלום",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

#[tokio::test]
async fn names_of_all_kinds_break_neither_output_nor_sql() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let mut records = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        run(
            &mut admin,
            &format!(
                "create schema {quoted}; create unlogged table {quoted}.{quoted} ({quoted} int not null unique); \
                 create index on {quoted}.{quoted} ({quoted}); create policy {quoted} on {quoted}.{quoted}; \
                 create sequence {quoted}.s as smallint; select setval('{}', 32000); \
                 create function {quoted}.{quoted}() returns int language sql as 'select 1'; \
                 grant all on {quoted}.{quoted} to public; grant all on schema {quoted} to public",
                format!("{quoted}.s").replace('\'', "''")
            ),
        )
        .await;
        records.push(TenantRecord::new(format!("t{at}").parse()?).container(name.parse()?));
    }
    let manager = world.builder().catalog(FixedCatalog::new(records)).build()?;
    let report = manager.doctor().only(CHECKS.iter().copied()).run().await?;
    let of_all = [
        "primaryKeys",
        "unloggedTables",
        "rowSecurity",
        "sequences",
        "duplicateIndexes",
        "tenantPrivileges",
    ];
    for check in of_all {
        let named = lines(&report).iter().filter(|line| line.starts_with(check)).count();
        assert!(named > 0, "{check}: {report}");
    }
    let all = lines(&report).join("\u{0}")
        + &statements(&report).join("\u{0}")
        + &report.recommendations.join("\u{0}");
    let hidden = |c: &char| *c != '\u{0}' && (c.is_control() || *c == '\u{202e}');
    assert_eq!(all.chars().find(hidden), None, "{all:?}");
    let shown = statements(&report);
    assert!(shown.len() > 4 * NAMES.len(), "{shown:#?}");
    for statement in &shown {
        run(&mut admin, statement).await;
    }
    let again = manager
        .doctor()
        .only(["unloggedTables", "rowSecurity", "tenantPrivileges", "sequences"])
        .run()
        .await?;
    let left: Vec<_> = lines(&again);
    // The role of the test is a superuser.
    assert!(
        left.len() == 1
            && left[0].starts_with("rowSecurity warning: row-level security does not apply"),
        "{left:#?}"
    );
    manager.close().await;
    Ok(())
}
