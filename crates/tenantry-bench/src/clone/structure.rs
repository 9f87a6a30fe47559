//! The structure of a tenant, cloned in a database with many other schemas.

use sqlx::Connection;
use tenantry::clone::CloneOptions;

use super::{
    server::{Database, Server},
    source::{self, SCHEMA, SCHEMA_OF_COPY, clone_tenant},
};
use crate::{
    args::CloneSizes,
    failure::Failure,
    programs::Programs,
    schema::fleet::write_schema,
    times::{self, Times},
};

/// Tables of each of the other schemas.
const TABLES_OF_NEIGHBORS: usize = 20;

/// The number of other schemas that are created per transaction. Every object holds a lock until its end.
const AT_ONCE: usize = 20;

/// The manual approach. The names in it come from the environment.
const PIPE: &str =
    r#""$BIN/pg_dump" -s -n "$FROM" "$URL" | sed "s/$FROM/$TO/g" | "$BIN/psql" -q -1 "$URL""#;

/// Clones the structure with `clone_tenant` on a new manager, and with `pg_dump | sed | psql`.
///
/// Each run includes its connections. The copy must have as many objects as its source, and is dropped after each
/// run, outside the measured time.
pub(super) async fn run(
    server: &Server,
    rounds: u32,
    sizes: &CloneSizes,
) -> Result<Vec<Times>, Failure> {
    let database = server.database("structure").await?;
    eprintln!("structure: creating {} schemas", sizes.neighbors);
    source::create(&database, sizes.tables).await?;
    create_neighbors(&database, sizes.neighbors).await?;
    database.run("vacuum analyze".to_owned()).await?;
    let mut conn = database.connect().await?;
    let programs = Programs::of(&mut conn).await?;
    conn.close().await?;
    let expected = database.objects(SCHEMA).await?;
    times::run("structure", &["tenantry", "pg_dump"], rounds, async |contender, _| {
        let took = match contender {
            0 => clone_tenant(&database, CloneOptions::default()).await?.0,
            _ => {
                let names = [("FROM", SCHEMA), ("TO", SCHEMA_OF_COPY), ("URL", database.url())];
                programs.run(PIPE, &names).await?
            }
        };
        let found = database.objects(SCHEMA_OF_COPY).await?;
        if found != expected {
            return Err(format!("the copy has {found} objects of {expected}").into());
        }
        database.drop_schemas(&[SCHEMA_OF_COPY.to_owned()]).await?;
        Ok(took)
    })
    .await
}

async fn create_neighbors(database: &Database, neighbors: usize) -> Result<(), Failure> {
    let neighbors: Vec<_> = (0..neighbors).collect();
    for some in neighbors.chunks(AT_ONCE) {
        let mut sql = String::new();
        for tenant in some {
            write_schema(&mut sql, *tenant, TABLES_OF_NEIGHBORS)?;
        }
        database.run(sql).await?;
    }
    Ok(())
}
