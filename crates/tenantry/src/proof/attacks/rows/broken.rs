//! Each attack on rows detects the leak if what prevents it is left out: of the binds, or of the tables.

use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, raw_sql};
use tenantry_devdb::DevDatabase;

use super::{
    super::super::{
        ProofOptions,
        broken::{INTACT, builder, missed, sent_instead},
        create,
        ground::Ground,
        mark::Mark,
        row_tenants::{OfRows, SHARED},
        scratch::Scratch,
    },
    reach, tables,
};
use crate::{FixedCatalog, Isolation, ManagerBuilder, Rows, pool::Broken};

/// Attacks on rows, each with what would prevent them left out: of the binds, or of the tables.
const CASES_OF_ROWS: &[(&[&str], Broken)] = &[
    (&["rowTurns", "rowKey", "rowInterrupted"], Broken { never_rebinds: true, ..INTACT }),
    (&["rowKey"], sent_instead(&[("reset all; ", "")])),
    (
        &["rowInterrupted"],
        sent_instead(&[
            ("begin; rollback; ", ""),
            (
                "pg_catalog.timestamptz_eq(pg_catalog.transaction_timestamp(), \
                 pg_catalog.statement_timestamp())",
                "true",
            ),
        ]),
    ),
    (&["rowTurns", "rowReach"], NO_POLICIES),
    // A prepared statement keeps the value of the first tenant.
    (
        &["rowTurns"],
        sent_instead(&[(
            "(select nullif(current_setting('tenantry.tenant', true), ''))",
            "public.fixed_key()",
        )]),
    ),
    (
        &["rowTurns"],
        sent_instead(&[("language sql stable", "language sql stable security definer")]),
    ),
    (&["rowTurns"], sent_instead(&[("with (security_invoker = true) ", "")])),
    (&["rowReach"], REFERENCES_BY_ID),
    (
        &["rowReach"],
        sent_instead(&[("delete on people, visits", "delete, truncate on people, visits")]),
    ),
];

/// Policies that add up instead of restricting, on both tables.
const NO_POLICIES: Broken = sent_instead(&[
    ("as restrictive for all", "as permissive for all"),
    ("as restrictive for all", "as permissive for all"),
]);

/// A foreign key without the tenant column.
const REFERENCES_BY_ID: Broken = sent_instead(&[
    ("primary key (\"tenant_id\", \"id\")", "unique (id), primary key (\"tenant_id\", \"id\")"),
    (
        "foreign key (\"tenant_id\", \"person_id\") references \"people\" (\"tenant_id\", \"id\")",
        "foreign key (person_id) references people (id)",
    ),
]);

/// The role, and a function of which a plan keeps the result.
const PREPARED: &str = "do $$ begin create role rows_proof; \
    exception when duplicate_object or unique_violation then null; end $$; \
    create function public.fixed_key() returns text immutable language sql as \
    'select nullif(current_setting(''tenantry.tenant'', true), '''')'";

/// A database with a role that policies apply to.
async fn database_of_rows() -> (DevDatabase, PgConnection) {
    let database = DevDatabase::create().await.unwrap();
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    raw_sql(PREPARED).execute(&mut admin).await.unwrap();
    (database, admin)
}

fn by_row(builder: ManagerBuilder) -> ManagerBuilder {
    let rows = Rows::new().role("rows_proof").unwrap();
    builder.isolation(Isolation::rows(rows)).catalog(FixedCatalog::new([]))
}

#[tokio::test]
async fn each_attack_on_rows_finds_what_is_left_out() {
    let mut all = Vec::new();
    let (database, admin) = database_of_rows().await;
    let has_views = admin.server_version_num().unwrap() >= 150_000;
    for (attacks, broken) in CASES_OF_ROWS {
        let is_of_view =
            broken.replaced.iter().any(|(piece, _)| piece.contains("security_invoker"));
        if is_of_view && !has_views {
            continue;
        }
        let missed = missed(by_row(builder(&database, *broken)), attacks).await;
        all.extend(missed.into_iter().map(|result| format!("{broken:?}: {result}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test]
async fn a_way_around_the_policies_of_real_tables_is_found() {
    let (database, mut admin) = database_of_rows().await;
    let table = "create table users (id int); grant select on users to rows_proof";
    raw_sql(table).execute(&mut admin).await.unwrap();
    let missed = missed(by_row(builder(&database, INTACT)), &["rowPolicies"]).await;
    assert!(missed.is_empty(), "{missed:?}");
}

/// Every single attempt is one that policies, keys or privileges prevent.
#[tokio::test]
async fn each_attempt_reaches_rows_if_nothing_prevents_it() {
    let (database, _) = database_of_rows().await;
    for broken in [NO_POLICIES, REFERENCES_BY_ID] {
        let manager = by_row(builder(&database, broken)).build().unwrap();
        let (real, mark, options) =
            (manager.fleet(), Mark::draw().unwrap(), ProofOptions::default().rounds(1));
        let places = real.server().take_places(1).await.unwrap();
        let mut scratch = Scratch::new(real, mark.clone(), places, Arc::default());
        let fleet = scratch.pool(1).await.unwrap();
        let mut lease = fleet.lease().await.unwrap();
        create::create(&mut lease, &mark, SHARED, SHARED, None).await.unwrap();
        tables::create(&fleet, &mut lease, &mark).await.unwrap();
        drop(lease);
        let of = OfRows { created: Ok(()), verified: Err(String::new()) };
        let pids = Mutex::default();
        let ground =
            Ground::new(fleet, &mark, &options, 1, &pids, "select null::text", Some(&of)).unwrap();
        reach::run(&ground).await.unwrap();
        let leaks = ground.take_leaks();
        let expected = reach::ATTEMPTS.iter().filter(|attempt| {
            (broken == REFERENCES_BY_ID) == (attempt.sql == reach::REFERENCE.sql)
        });
        for attempt in expected {
            for way in reach::WAYS {
                let told = format!("with {:?} ({way:?})", attempt.sql);
                assert!(leaks.iter().any(|leak| leak.ends_with(&told)), "{told} of {leaks:#?}");
            }
        }
        drop(ground);
        assert!(scratch.remove().await);
        manager.close().await;
    }
}
