//! Whatever the schemas are called, what is found is the same.

use std::iter;

use sqlx::{Connection, PgConnection};
use tenantry::schema::{Difference, compare};

use super::{
    cases::{Case, Expected},
    corpus,
    judge::quote,
    probe::{details, fingerprints},
};
use crate::{
    sampling::every,
    support::{connect, server_version, try_run},
};

/// Pairs of names. Those of one letter are names of tables and functions in the cases.
const NAMES: [(&str, &str); 10] = [
    ("users", "a"),
    ("public_x", "select"),
    ("Nörd-1 A", "b"),
    ("x23456789x23456789x23456789x23456789x23456789x23456789x23456789", "x"),
    ("t", "f"),
    ("count", "countries"),
    ("we\"ird", "it's"),
    ("sch{ema", "a.b,c"),
    ("v", "zq_shared_x"),
    ("e", "text"),
];

#[tokio::test]
async fn names_of_schemas_make_no_difference() {
    let server = corpus::server().await;
    let url = corpus::setting(&server, "names").await;
    let mut admin = connect(&url).await;
    let mut wrong = Vec::new();
    let cases = Case::all(server_version(&mut admin).await);
    let (first, each) = every(3);
    for (at, case) in cases.iter().enumerate().skip(first).step_by(each) {
        // Names put together need no quotes here.
        if case.expected == Expected::Beyond || case.right().contains("{name}_parent") {
            continue;
        }
        // What names schemas in texts is tried with more names than the rest.
        let count = match () {
            () if case.name.starts_with("namesake") => NAMES.len(),
            () if case.right().contains('{') => 3,
            () => usize::from(at % 4 == 0),
        };
        for (left, right) in NAMES.iter().cycle().skip(at).take(count) {
            if let Some(problem) = problem(&mut admin, case, (left, right)).await {
                wrong.push(format!("{} as {left} and {right}: {problem}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

async fn problem(admin: &mut PgConnection, case: &Case, names: (&str, &str)) -> Option<String> {
    let mut transaction = admin.begin().await.expect("the server runs");
    let outcome = found(&mut transaction, case, names).await;
    transaction.rollback().await.expect("the server runs");
    let (found, is_equal) = match outcome {
        Ok(outcome) => outcome,
        Err(error) if corpus::is_lacking(&error) => return None,
        Err(error) => return Some(error.to_string()),
    };
    let is_alike = case.expected == Expected::Alike;
    // Where a schema's name is a word in a text, only comparing tells.
    (found.is_empty() != is_alike || is_equal && !is_alike)
        .then(|| format!("{found:?}, equal fingerprints: {is_equal}"))
}

async fn found(
    admin: &mut PgConnection,
    case: &Case,
    (left, right): (&str, &str),
) -> sqlx::Result<(Vec<Difference>, bool)> {
    for (name, sql) in [(left, case.left()), (right, case.right())] {
        let schema = quote(name);
        let sql = in_places(&sql.replace("{left}", "\u{1}"), &quote(left));
        let sql = sql.replace("{schema}", "\u{1}").replace("{name}", &name.replace('\'', "''"));
        let sql = in_places(&sql, &schema);
        let path = format!("create schema {schema}; set local search_path = {schema}; {sql}");
        try_run(&mut *admin, &path).await?;
    }
    let models = details(admin, &[(left, None), (right, None)]).await;
    let prints = fingerprints(admin, &[(left, None), (right, None)]).await;
    Ok((compare(&models[0], &models[1]), prints[0] == prints[1]))
}

/// Puts the quoted name in, with its own quotes doubled where it stands in a string.
fn in_places(sql: &str, schema: &str) -> String {
    let mut in_string = false;
    let parts = sql.split('\u{1}').flat_map(|part| {
        in_string ^= part.matches('\'').count() % 2 == 1;
        let name = if in_string { schema.replace('\'', "''") } else { schema.to_owned() };
        iter::once(part.to_owned()).chain(iter::once(name))
    });
    let mut parts: Vec<String> = parts.collect();
    parts.pop();
    parts.concat()
}
