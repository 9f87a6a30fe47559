//! Finds out whether a database has the extension, and remembers the answer.

use std::collections::HashMap;

use parking_lot::Mutex;
use sqlx::{PgConnection, Row, raw_sql};

use super::{Citus, CitusNodeKind};
use crate::tenant::Ident;

/// What was found in the databases of a server. The key is `None` for the database in the server's URL.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<HashMap<Option<Ident>, Option<Citus>>>);

impl Remembered {
    /// Returns what is known of a database without asking: `None` if it was not asked yet.
    pub(crate) fn known(&self, database: Option<&Ident>) -> Option<Option<Citus>> {
        self.0.lock().get(&database.cloned()).copied()
    }

    /// Returns what a database has, which this connection leads to. Asks at most once.
    pub(crate) async fn of(
        &self,
        database: Option<&Ident>,
        conn: &mut PgConnection,
    ) -> sqlx::Result<Option<Citus>> {
        if let Some(known) = self.known(database) {
            return Ok(known);
        }
        let found = ask(conn).await?;
        self.0.lock().insert(database.cloned(), found);
        Ok(found)
    }
}

/// Asks a database for the extension: one statement on a plain server, a second one with Citus.
pub(crate) async fn ask(conn: &mut PgConnection) -> sqlx::Result<Option<Citus>> {
    let version = "select e.extversion from pg_catalog.pg_extension e \
                   where e.extname operator(pg_catalog.=) 'citus'";
    let Some(row) = raw_sql(version).fetch_optional(&mut *conn).await? else { return Ok(None) };
    let version: String = row.try_get(0)?;
    let group = "select g.groupid operator(pg_catalog.=) 0 from pg_catalog.pg_dist_local_group g";
    let group = raw_sql(group).fetch_optional(conn).await?;
    // Without a group, it is a cluster of one node.
    let is_first = group.map(|row| row.try_get(0)).transpose()?.unwrap_or(true);
    let node = if is_first { CitusNodeKind::Coordinator } else { CitusNodeKind::Worker };
    Ok(Citus::parse(&version, node))
}
