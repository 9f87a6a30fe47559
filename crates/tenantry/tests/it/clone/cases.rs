//! Whatever a schema holds, its clone holds the same.

use tenantry::{Isolation, SchemaDiscovery, TenantManager, clone::CloneOptions, schema::compare};

use crate::{
    schema::{cases::Expected, corpus::Corpus, probe::details},
    support::{connect, run},
};

/// What cannot be there twice in a database, or needs what is not installed.
const IMPOSSIBLE: &[&str] =
    &["could not make operator class", "would overlap partition", "is not loaded"];

/// One of how many cases is cloned; `TENANTRY_CLONE_EACH` says so.
const EACH: usize = 12;

#[tokio::test]
async fn every_case_is_cloned() {
    let each = std::env::var("TENANTRY_CLONE_EACH").ok();
    let each = each.map_or(EACH, |each| each.parse().expect("it is a number"));
    let corpus = Corpus::build().await;
    let manager = TenantManager::builder(&*corpus.url)
        .isolation(Isolation::schema("{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(5)
        .build()
        .expect("the options are sound");
    let mut admin = connect(&corpus.url).await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for built in corpus.cases.iter().step_by(each) {
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
    run(admin, &format!("drop schema {copy} cascade")).await;
    (!found.is_empty()).then(|| format!("{found:?} {report}"))
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
