//! The alternative to a move: `pg_dump | psql` while a lock keeps writers out.

use std::time::Instant;

use sqlx::{Connection, PgConnection};

use super::tenant::{self, SCHEMA, TABLES};
use crate::{failure::Failure, programs::Programs, trusted};

const ROUNDS: u32 = 3;

/// The names in it come from the environment.
const PIPE: &str = r#""$BIN/pg_dump" -n "$SCHEMA" "$FROM" | "$BIN/psql" -q -1 -v ON_ERROR_STOP=1 "$TO" > /dev/null"#;

/// Copies the schema from one server to the other, and drops the copy. Returns for how many milliseconds writers
/// would have had to wait each time: from the lock to the end of the copy.
pub(super) async fn run(from: &str, to: &str) -> Result<Vec<f64>, Failure> {
    let mut source = PgConnection::connect(from).await?;
    let mut target = PgConnection::connect(to).await?;
    let programs = Programs::of(&mut source).await?;
    let bytes = tenant::bytes(from).await?;
    let tables: Vec<_> = (1..=TABLES).map(|table| format!("{SCHEMA}.things{table}")).collect();
    let lock = format!("lock table {} in share row exclusive mode", tables.join(", "));
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("moves: pg_dump | psql, round {round} of {ROUNDS}");
        let began = Instant::now();
        let mut tx = source.begin().await?;
        trusted::run(&mut tx, lock.clone()).await?;
        programs.run(PIPE, &[("SCHEMA", SCHEMA), ("FROM", from), ("TO", to)]).await?;
        tx.rollback().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let copied = tenant::bytes(to).await?;
        if copied < bytes / 2 {
            return Err(format!("{copied} of {bytes} bytes were copied").into());
        }
        for sql in [format!("drop schema {SCHEMA} cascade"), "checkpoint".to_owned()] {
            trusted::run(&mut target, sql).await?;
        }
    }
    source.close().await?;
    target.close().await?;
    Ok(times)
}
