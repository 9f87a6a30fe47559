//! What is found different is what `pg_dump` shows different.

use tenantry::schema::{
    Difference, ObjectKey, ObjectKind, SchemaModel, compare, without_consequences,
};

use super::{
    cases::{Case, Expected},
    corpus::Corpus,
    probe::{details, fingerprints},
};
use crate::support::{connect, run};

/// One corpus for all three: building it takes most of the time.
#[tokio::test]
async fn every_case_is_found_by_its_name_whatever_the_plan_and_the_role() {
    let corpus = Corpus::build().await;
    every_case_is_found_by_its_name(&corpus).await;
    plans_make_no_difference(&corpus).await;
    a_plain_role_reads_the_same(&corpus).await;
}

async fn every_case_is_found_by_its_name(corpus: &Corpus) {
    let mut admin = connect(&corpus.url).await;
    let mut wrong = Vec::new();
    for some in corpus.cases.chunks(100) {
        let names = some.iter().flat_map(|built| {
            [Some(&built.left), Some(&built.right), built.undone.as_ref()].into_iter().flatten()
        });
        let names: Vec<_> = names.map(|name| (name.as_str(), None)).collect();
        let mut models = details(&mut admin, &names).await.into_iter();
        let mut prints = fingerprints(&mut admin, &names).await.into_iter();
        for built in some {
            let case = &built.case;
            let mut problem = |what: String| wrong.push(format!("{}: {what}", case.name));
            let mut next = || (models.next().expect("a model"), prints.next().expect("a print"));
            let ((left, left_print), (right, right_print)) = (next(), next());
            problems(case, &left, &right).into_iter().for_each(&mut problem);
            let is_told = case.expected == Expected::Different || case.compared;
            if (left_print == right_print) == is_told {
                problem(format!("equal fingerprints: {}", left_print == right_print));
            }
            let is_beyond = left.beyond != right.beyond;
            if case.expected != Expected::Different
                && is_beyond != (case.expected == Expected::Beyond)
            {
                problem(format!("beyond the dump: {:?} and {:?}", left.beyond, right.beyond));
            }
            if built.undone.is_none() {
                continue;
            }
            let (undone, undone_print) = next();
            let found = compare(&left, &undone);
            if !found.is_empty() || left_print != undone_print {
                problem(format!("undone {found:?}"));
            }
        }
    }
    let count = corpus.cases.len();
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The search path is set row by row: what the planner makes of the joins must not matter.
async fn plans_make_no_difference(corpus: &Corpus) {
    let mut admin = connect(&corpus.url).await;
    let names = corpus.cases.iter().step_by(10).map(|built| (built.left.as_str(), None));
    let names: Vec<_> = names.collect();
    let expected = fingerprints(&mut admin, &names).await;
    for settings in [
        "set enable_nestloop = off",
        "set enable_nestloop = on; set enable_hashjoin = off; set enable_mergejoin = off",
    ] {
        run(&mut admin, settings).await;
        assert!(fingerprints(&mut admin, &names).await == expected, "{settings}");
    }
}

/// A role that may use the schemas and nothing else sees all that there is.
async fn a_plain_role_reads_the_same(corpus: &Corpus) {
    let mut admin = connect(&corpus.url).await;
    run(&mut admin, "create role zq_plain").await;
    let names: Vec<_> = corpus.cases.iter().step_by(4).map(|built| built.right.as_str()).collect();
    let grants = names.iter().map(|name| format!("grant usage on schema {name} to zq_plain;"));
    run(&mut admin, &grants.collect::<String>()).await;
    let names: Vec<_> = names.into_iter().map(|name| (name, None)).collect();
    let models = details(&mut admin, &names).await;
    let prints = fingerprints(&mut admin, &names).await;
    run(&mut admin, "set role zq_plain").await;
    assert!(details(&mut admin, &names).await == models);
    assert!(fingerprints(&mut admin, &names).await == prints);
}

fn problems(case: &Case, left: &SchemaModel, right: &SchemaModel) -> Vec<String> {
    let found = found(left, right);
    let labels: Vec<String> = found.iter().map(|difference| label(&difference.object)).collect();
    let mut problems = Vec::new();
    if found.is_empty() == (case.expected == Expected::Different) {
        problems.push(format!("found {found:?}"));
    }
    if case.expected == Expected::Different {
        let is_named = labels.iter().all(|label| case.objects.contains(label));
        // An object may differ in several attributes.
        let is_once = case.objects.len() > 1 || labels.iter().all(|label| *label == labels[0]);
        if !is_named || !is_once {
            let said = found.iter().map(|difference| format!("\n    {difference}"));
            problems.push(said.collect());
        }
    }
    let backwards = self::found(right, left);
    let backwards: Vec<String> = backwards.iter().map(|found| label(&found.object)).collect();
    if backwards != labels {
        problems.push(format!("{labels:?}, backwards {backwards:?}"));
    }
    problems
}

fn found(left: &SchemaModel, right: &SchemaModel) -> Vec<Difference> {
    without_consequences(&compare(left, right), left, right)
}

/// What the cases call an object.
fn label(object: &ObjectKey) -> String {
    let ObjectKey { kind, of, name, arguments, .. } = object;
    let words = kind.as_str().replace(' ', "_");
    match (kind, of, arguments) {
        (ObjectKind::Schema, ..) => "schema {schema}".to_owned(),
        (ObjectKind::DefaultPrivileges, ..) => words,
        (
            ObjectKind::Enum | ObjectKind::Composite | ObjectKind::Range | ObjectKind::BaseType,
            ..,
        ) => {
            format!("type {name}")
        }
        (ObjectKind::OperatorClass | ObjectKind::OperatorFamily, Some(of), _) => {
            format!("{words} {name} using {of}")
        }
        (ObjectKind::SecurityLabel, Some(of), _) if of == "schema" => "schema {schema}".to_owned(),
        (ObjectKind::SecurityLabel, Some(of), _) => of.clone(),
        (_, Some(of), _) => format!("{words} {of}.{name}"),
        (_, None, Some(arguments)) => format!("{words} {name}({arguments})"),
        (_, None, None) => format!("{words} {name}"),
    }
}
