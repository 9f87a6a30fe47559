//! Statements that were prepared for one tenant and do not fit another.

use sqlx::{
    Column, Encode, Postgres, Row, Type,
    encode::IsNull,
    postgres::{PgArgumentBuffer, PgRow, PgTypeInfo},
};

use super::super::{
    finding::{Attacked, Finding, Stop, code_of},
    ground::Ground,
};
use crate::db::TenantDb;

/// A value of the enum that each tenant has, with other labels in another order.
struct Mood(&'static str);

impl Type<Postgres> for Mood {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("mood")
    }
}

impl Encode<'_, Postgres> for Mood {
    fn encode_by_ref(
        &self,
        buffer: &mut PgArgumentBuffer,
    ) -> Result<IsNull, sqlx::error::BoxDynError> {
        <&str as Encode<Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

/// One statement for both tenants.
#[derive(Debug)]
struct Question {
    sql: &'static str,
    /// The values that the tenants bind, where the statement has a parameter.
    bind: Option<[&'static str; 2]>,
    /// The expected form of their results.
    expected: [&'static str; 2],
}

/// Binds and reads values of a type that each tenant has under the same name.
pub(in crate::proof) async fn own_enum(ground: &Ground<'_>) -> Attacked {
    let question = Question {
        sql: "select m::text from moods where m = $1",
        bind: Some(["wild", "sad"]),
        expected: ["m = wild", "m = sad"],
    };
    in_turn(ground, &question).await
}

/// Runs one text where the tables of the tenants have other columns.
pub(in crate::proof) async fn cached_plan(ground: &Ground<'_>) -> Attacked {
    let question = Question {
        sql: "select * from plans",
        bind: None,
        expected: ["id, name = acme", "name = globex, id, extra"],
    };
    in_turn(ground, &question).await
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Handle,
    Lease,
    Transaction,
}

async fn in_turn(ground: &Ground<'_>, question: &Question) -> Attacked {
    let mut asked = 0;
    let rounds = ground.options.rounds.div_ceil(10);
    for _ in 0..rounds {
        for way in [Way::Handle, Way::Lease, Way::Transaction] {
            for (at, db) in [&ground.acme, &ground.globex].into_iter().enumerate() {
                let (answer, expected) = (ask(db, question, at, way).await?, question.expected[at]);
                asked += 1;
                if answer != expected {
                    let id = db.tenant().id();
                    ground.leak(format!(
                        "tenant {id} got {answer:?} instead of {expected:?} ({way:?})"
                    ));
                }
            }
        }
    }
    let seen = format!("{asked} answers in turn, each from the tenant's own definitions");
    Ok(Finding { seen, rounds: u64::from(rounds) })
}

async fn ask(db: &TenantDb, question: &Question, at: usize, way: Way) -> Result<String, Stop> {
    let query = match question.bind {
        Some(values) => sqlx::query(question.sql).bind(Mood(values[at])),
        None => sqlx::query(question.sql),
    };
    let rows = match way {
        Way::Handle => query.fetch_all(db).await,
        Way::Lease => query.fetch_all(&mut *db.acquire().await?).await,
        Way::Transaction => query.fetch_all(&mut *db.begin().await?).await,
    };
    described(rows)
}

/// Returns the columns of the only row, with their values if they are text; or the code of the error.
fn described(rows: sqlx::Result<Vec<PgRow>>) -> Result<String, Stop> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return code_of(error),
    };
    let [row] = &rows[..] else { return Ok(format!("{} rows", rows.len())) };
    let columns = row.columns().iter().map(|column| {
        let text: Result<String, _> = row.try_get(column.ordinal());
        let value = text.map(|text| format!(" = {text}")).unwrap_or_default();
        format!("{}{value}", column.name())
    });
    Ok(columns.collect::<Vec<_>>().join(", "))
}
