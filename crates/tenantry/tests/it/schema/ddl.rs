//! What a model describes is what its statements create.

use sqlx::PgConnection;
use tenantry::{
    Ident,
    schema::{SchemaModel, compare},
};

use super::{cases::Expected, corpus::Corpus, judge::quote, probe::details};
use crate::{
    sampling::every,
    support::{connect, run, try_run},
};

/// What cannot be tried here, and why.
const IMPOSSIBLE: &[(&str, &str)] = &[
    ("security label of a schema", NO_PROVIDER),
    ("security label of a function", NO_PROVIDER),
    ("security label of a type", NO_PROVIDER),
    ("security label of a view and its column", NO_PROVIDER),
    ("security label of a sequence", NO_PROVIDER),
    ("table: security label", NO_PROVIDER),
    ("column: security label", NO_PROVIDER),
];

const NO_PROVIDER: &str = "the cases write labels into the catalog: no provider is installed";

#[tokio::test]
async fn every_case_can_be_created_from_its_model() {
    let corpus = Corpus::build().await;
    let mut admin = connect(&corpus.url).await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    let (first, each) = every(4);
    let cases = corpus.cases.iter().skip(first).step_by(each);
    let cases: Vec<_> = cases.filter(|built| built.case.expected != Expected::Beyond).collect();
    for some in cases.chunks(100) {
        let names = some.iter().flat_map(|built| [&built.left, &built.right]);
        let names: Vec<_> = names.map(|name| (name.as_str(), None)).collect();
        let models = details(&mut admin, &names).await;
        for (built, pair) in some.iter().zip(models.chunks(2)) {
            for model in pair {
                count += 1;
                let problem = problem(&mut admin, model).await;
                let excuse = IMPOSSIBLE.iter().any(|(name, _)| *name == built.case.name);
                if let Some(problem) = problem.filter(|_| !excuse) {
                    wrong.push(format!("{} ({}): {problem}", built.case.name, model.schema));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Says what is wrong with a schema that is created from a model.
async fn problem(admin: &mut PgConnection, model: &SchemaModel) -> Option<String> {
    let name = Ident::parse("Created 1").expect("it is an identifier");
    let ddl = model.ddl(&name);
    run(&mut *admin, "begin").await;
    // There can be one default operator class of a type, and one partition for a value.
    run(&mut *admin, &format!("drop schema {} cascade", quote(&model.schema))).await;
    let problem = match try_run(&mut *admin, &ddl).await {
        Err(error) => Some(format!("{error}\n{ddl}")),
        Ok(()) => {
            let created = details(&mut *admin, &[(name.as_str(), None)]).await.remove(0);
            let found = compare(model, &created);
            (!found.is_empty()).then(|| format!("{found:?}\n{ddl}"))
        }
    };
    run(&mut *admin, "rollback").await;
    problem
}
