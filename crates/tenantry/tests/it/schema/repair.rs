//! A repair makes one schema like the other, and its rows are there afterwards.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use tenantry::schema::{Hazard, ObjectKind, Repair, SchemaModel, compare, repair};

use super::{
    cases::{Case, Expected},
    corpus::{self, Corpus},
    judge::{Judge, Judged, build, quote},
    probe::details,
};
use crate::support::{connect, observe, run, server_version, try_run};

/// What cannot be tried here, and why.
const IMPOSSIBLE: &[(&str, &str)] = &[
    ("security label of a schema", NO_PROVIDER),
    ("security label of a function", NO_PROVIDER),
    ("security label of a type", NO_PROVIDER),
    ("security label of a view and its column", NO_PROVIDER),
    ("security label of a sequence", NO_PROVIDER),
    ("table: security label", NO_PROVIDER),
    ("column: security label", NO_PROVIDER),
    ("a partition: in the schema, its parent is a table of the shared schema", ONLY_ONE),
    ("operator class: default", ONLY_ONE),
];

const NO_PROVIDER: &str = "the cases write labels into the catalog: no provider is installed";
const ONLY_ONE: &str = "there can be one such object in a database";

#[tokio::test]
async fn every_case_is_repaired() {
    let corpus = Corpus::build().await;
    let (mut wrong, mut done, mut kept) = (Vec::new(), 0, 0);
    for (name, is_backwards) in [("forwards", false), ("backwards", true)] {
        let url = corpus.copy(name).await;
        let mut admin = connect(&url).await;
        let mut pairs = Vec::new();
        for built in &corpus.cases {
            let excuse = IMPOSSIBLE.iter().any(|(name, _)| *name == built.case.name);
            if built.case.expected != Expected::Beyond && !excuse {
                let case = format!("{} ({name})", built.case.name);
                let (expected, actual) = (built.left.as_str(), built.right.as_str());
                pairs.push(match is_backwards {
                    false => Pair::new(&case, expected, actual),
                    true => Pair::new(&case, actual, expected),
                });
            }
        }
        let mut mended = Vec::new();
        for some in pairs.chunks(100) {
            for (pair, outcome) in some.iter().zip(mend(&mut admin, some).await) {
                match outcome {
                    Ok(Some(rows)) => {
                        kept += rows;
                        mended.push(pair);
                    }
                    // What means the other schema there would mean itself here.
                    Ok(None) => {}
                    Err(problem) => wrong.push(format!("{}: {problem}", pair.case)),
                }
            }
        }
        drop(admin);
        done += mended.len();
        let Some(judge) = Judge::of(&url).await else { continue };
        for some in mended.chunks(200) {
            let dump = |side: fn(&Pair<'_>) -> String| {
                some.iter().map(|pair| side(pair)).collect::<Vec<_>>()
            };
            let (expected, actual) =
                (dump(|pair| pair.expected.to_owned()), dump(|pair| pair.actual.to_owned()));
            let (expected, actual) =
                (judged(&judge, &expected).await, judged(&judge, &actual).await);
            for (pair, (expected, actual)) in some.iter().zip(expected.iter().zip(&actual)) {
                let found = expected.differences(actual);
                if !found.is_empty() {
                    wrong.push(format!("{}: dumps differ: {found:?}", pair.case));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} beside {done}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(kept > 1000, "only {kept} rows were there to be lost");
}

/// What rows and sequences have to be like afterwards.
#[tokio::test]
async fn repairs_keep_rows_and_sequences() {
    let server = corpus::server().await;
    let url = corpus::setting(&server, "repairs").await;
    let mut admin = connect(&url).await;
    let version = server_version(&mut admin).await;
    let mut wrong = Vec::new();
    for (at, case) in Case::repairs(version).into_iter().enumerate() {
        let (expected, actual) = (format!("left_{at}"), format!("right_{at}"));
        build(&mut admin, &expected, &case.left()).await.expect("the left side can be built");
        build(&mut admin, &actual, &case.right()).await.expect("the right side can be built");
        let models = details(&mut admin, &[(&expected, None), (&actual, None)]).await;
        let repair = repair(&models[0], &models[1]);
        if let Err(error) = apply(&mut admin, &repair).await {
            wrong.push(format!("{}: {error}\n{repair}", case.name));
            continue;
        }
        let after = details(&mut admin, &[(&actual, None)]).await.remove(0);
        let found = compare(&models[0], &after);
        let check = case.check.trim();
        let (settings, check) = check.rsplit_once("; ").unwrap_or(("select 1", check));
        run(&mut admin, &format!("begin; set local search_path = {actual}, public; {settings}"))
            .await;
        let told = observe(&mut admin, &format!("select ({check})::text")).await;
        run(&mut admin, "rollback").await;
        if !found.is_empty() || told != "Some(\"true\")" {
            wrong.push(format!("{}: {told}, {found:?}\n{repair}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

async fn judged(judge: &Judge, schemas: &[String]) -> Vec<Judged> {
    judge.dump(&schemas.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Two schemas, of which the second is to become like the first.
pub(crate) struct Pair<'a> {
    case: String,
    expected: &'a str,
    actual: &'a str,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(case: &str, expected: &'a str, actual: &'a str) -> Self {
        Self { case: case.to_owned(), expected, actual }
    }
}

/// Makes schemas like others; returns how many rows each has kept, nothing where it cannot be done.
pub(crate) async fn mend(
    admin: &mut PgConnection,
    pairs: &[Pair<'_>],
) -> Vec<Result<Option<i64>, String>> {
    for pair in pairs {
        run(&mut *admin, &FILL.replace("{schema}", &quote(pair.actual))).await;
    }
    let names: Vec<_> = pairs.iter().flat_map(|pair| [pair.expected, pair.actual]).collect();
    let models = details(admin, &names.iter().map(|name| (*name, None)).collect::<Vec<_>>()).await;
    let mut repaired = Vec::new();
    for models in models.chunks(2) {
        let repair = repair(&models[0], &models[1]);
        let rows = count(admin, &models[1]).await;
        let applied = match repair.impossible.is_empty() {
            true => apply_to(admin, &models[1].schema, &repair).await,
            false => Ok(false),
        };
        repaired.push((repair, rows, applied));
    }
    let after = details(admin, &names.iter().map(|name| (*name, None)).collect::<Vec<_>>()).await;
    let mut outcomes = Vec::new();
    for (models, (repair, rows, applied)) in after.chunks(2).zip(repaired) {
        outcomes.push(match applied {
            Err(error) => Err(format!("{error}\n{repair}")),
            Ok(_) if !repair.impossible.is_empty() => Ok(None),
            Ok(keeps_rows) => look(admin, models, &repair, keeps_rows.then_some(rows)).await,
        });
    }
    outcomes
}

/// Runs a repair, without rows if they may make it fail and do; returns whether they are there.
async fn apply_to(admin: &mut PgConnection, schema: &str, repair: &Repair) -> Result<bool, String> {
    match apply(admin, repair).await {
        Err(_) if may_fail(repair) => {
            run(&mut *admin, &EMPTY.replace("{schema}", &quote(schema))).await;
            let outcome = apply(admin, repair).await;
            outcome.map(|()| false).map_err(|error| error.to_string())
        }
        outcome => outcome.map(|()| true).map_err(|error| error.to_string()),
    }
}

/// Looks at what has become of a schema.
async fn look(
    admin: &mut PgConnection,
    models: &[SchemaModel],
    repair: &Repair,
    before: Option<BTreeMap<String, i64>>,
) -> Result<Option<i64>, String> {
    let found = compare(&models[0], &models[1]);
    if !found.is_empty() {
        return Err(format!("{found:?}\n{repair}"));
    }
    let mut kept = 0;
    let before = before.unwrap_or_default();
    for (table, now) in count(admin, &models[1]).await {
        let Some(before) = before.get(&table) else { continue };
        if now < *before && !loses_data(repair) {
            return Err(format!("{table} had {before} rows and has {now}\n{repair}"));
        }
        kept += now;
    }
    Ok(Some(kept))
}

async fn apply(admin: &mut PgConnection, repair: &Repair) -> sqlx::Result<()> {
    let outcome = try_run(&mut *admin, &repair.to_string()).await;
    run(&mut *admin, "rollback; reset role; reset search_path; reset check_function_bodies").await;
    outcome
}

fn may_fail(repair: &Repair) -> bool {
    let hazards = repair.steps.iter().flat_map(|step| &step.hazards);
    hazards.into_iter().any(|hazard| matches!(hazard, Hazard::MayFail { .. }))
}

fn loses_data(repair: &Repair) -> bool {
    repair.steps.iter().any(|step| step.hazards.contains(&Hazard::LosesData))
}

/// Counts the rows of each table.
async fn count(admin: &mut PgConnection, model: &SchemaModel) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for (key, _) in model.of_kind(ObjectKind::Table) {
        let table = format!("{}.{}", quote(&model.schema), quote(&key.name));
        let rows = observe(&mut *admin, &format!("select count(*)::text from only {table}")).await;
        let digits: String = rows.chars().filter(char::is_ascii_digit).collect();
        counts.insert(key.name.clone(), digits.parse().expect("it is a number"));
    }
    counts
}

/// Puts a row or two into each table that takes one. Functions in C that do not fit would bring down the server.
const FILL: &str = "do $$
declare t record; columns text; list text; value text;
begin
  set constraints all immediate;
  for round in 1..2 loop
  for t in select c.oid::regclass as name, c.oid from pg_class c
      where c.relnamespace = '{schema}'::regnamespace and c.relkind in ('r', 'p')
        and not exists (select from pg_proc p join pg_language l on l.oid = p.prolang
          where p.pronamespace = c.relnamespace and l.lanname in ('internal', 'c'))
      order by c.oid loop
    begin
      select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
        string_agg(case y.typcategory when 'N' then '1' when 'S' then quote_literal('x') when 'B' then 'true'
          when 'D' then quote_literal('2020-01-01') when 'A' then quote_literal('{}')
          when 'E' then (select quote_literal(e.enumlabel) from pg_enum e where e.enumtypid = y.oid order by e.enumsortorder limit 1)
          else 'null' end, ', ' order by a.attnum)
        into columns, list
      from pg_attribute a join pg_type y on y.oid = a.atttypid
      where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = '';
      if columns is null then
        execute format('insert into %s default values', t.name);
      else
        execute format('insert into %s (%s) values (%s)', t.name, columns, list);
      end if;
    exception when others then
      begin
        execute format('insert into %s default values', t.name);
      exception when others then null;
      end;
    end;
  end loop;
  end loop;
end $$";

/// Takes all rows out again.
const EMPTY: &str = "do $$
declare t record;
begin
  for t in select c.oid::regclass as name from pg_class c
      where c.relnamespace = '{schema}'::regnamespace and c.relkind in ('r', 'p') loop
    execute format('truncate %s cascade', t.name);
  end loop;
end $$";
