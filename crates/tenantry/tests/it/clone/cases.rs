//! Whatever a schema holds, its clone holds the same.

use super::shop::Shop;
use sqlx::Connection;
use tenantry::{Isolation, SchemaDiscovery, TenantManager, clone::CloneOptions, schema::compare};

use crate::{
    sampling::every,
    schema::{
        cases::Expected,
        corpus::{Built, Corpus},
        judge::Judge,
        probe::details,
    },
    support::{connect, run},
};

/// What cannot be there twice in a database, or needs what is not installed.
const IMPOSSIBLE: &[&str] =
    &["could not make operator class", "would overlap partition", "is not loaded"];

/// One of how many cases is cloned.
const EACH: usize = 12;

#[tokio::test]
async fn every_case_is_cloned() {
    let (first, each) = every(EACH);
    let corpus = Corpus::build().await;
    let manager = TenantManager::builder(&*corpus.url)
        .isolation(Isolation::schema("{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(5)
        .build()
        .expect("the options are sound");
    let mut admin = connect(&corpus.url).await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for built in corpus.cases.iter().skip(first).step_by(each) {
        if built.case.expected == Expected::Beyond {
            continue;
        }
        for schema in [&built.left, &built.right] {
            count += 1;
            if let Some(problem) = problem(&manager, &mut admin, schema).await {
                wrong.push(format!("{} ({schema}): {problem}", built.case.name));
            }
        }
    }
    manager.close().await;
    let there = r"select substr(nspname, 9) from pg_namespace where nspname like 'copy\_of\_%'";
    let mut there: Vec<String> =
        sqlx::query_scalar(there).fetch_all(&mut admin).await.expect("the server runs");
    // Of those that refer to their neighbour, only one side is called by another name.
    let refers = |built: &&Built| built.case.right().contains("{left}");
    let alone = corpus.cases.iter().filter(refers).map(|built| &built.right);
    let alone: Vec<_> = alone.collect();
    there.retain(|name| !alone.contains(&name));
    admin.close().await.expect("it is open");
    wrong.extend(dumped_differently(&corpus.url, &there).await);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

async fn problem(
    manager: &TenantManager,
    admin: &mut sqlx::PgConnection,
    schema: &str,
) -> Option<String> {
    let copy = format!("copy_of_{schema}");
    let options = CloneOptions::default().data(true);
    let cloned = manager.provisioner().clone_tenant(schema, &*copy, options).await;
    let report = match cloned {
        Ok(report) => report,
        Err(error) => {
            let error = with_causes(&error);
            let excused = IMPOSSIBLE.iter().any(|words| error.contains(words));
            return (!excused).then_some(error);
        }
    };
    let models = details(admin, &[(schema, None), (&copy, None)]).await;
    let found = compare(&models[0], &models[1]);
    (!found.is_empty()).then(|| format!("{found:?} {report}"))
}

/// Says what `pg_dump` shows different in copies.
async fn dumped_differently(url: &str, schemas: &[String]) -> Vec<String> {
    let Some(judge) = Judge::of(url).await else { return Vec::new() };
    let copies: Vec<_> = schemas.iter().map(|schema| format!("copy_of_{schema}")).collect();
    let [sources, copies] =
        [schemas, &copies].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
    let (sources, copies) = (judge.dump(&sources).await, judge.dump(&copies).await);
    let mut wrong = Vec::new();
    for ((name, source), copy) in schemas.iter().zip(&sources).zip(&copies) {
        let differences = source.differences(copy);
        if !differences.is_empty() {
            wrong.push(format!("{name} is dumped differently: {}", differences.concat()));
        }
    }
    wrong
}

#[tokio::test]
async fn a_schema_with_one_of_each_is_dumped_alike() {
    let Shop { world, mut admin, .. } = Shop::called("shop").await;
    let manager = TenantManager::builder(world.database.url())
        .isolation(Isolation::schema("{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(6)
        .build()
        .expect("the options are sound");
    let provisioner = manager.provisioner();
    let mut names = vec!["shop".to_owned()];
    for connections in [1, 2] {
        let copy = format!("copy_of_{}", names[connections - 1]);
        let options = CloneOptions::default().data(true).connections(connections);
        provisioner
            .clone_tenant(&*names[connections - 1], &*copy, options)
            .await
            .expect("it is cloned");
        names.push(copy);
    }
    manager.close().await;
    run(&mut admin, "select 1").await;
    admin.close().await.expect("it is open");
    names.pop();
    assert_eq!(dumped_differently(world.database.url(), &names).await, [] as [String; 0]);
}

/// Returns an error with its causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        next = cause.source();
    }
    told
}
