//! The role's privileges to see the server's activity.

use crate::{
    db::SharedDb,
    doctor::{Examined, text::counted},
    error::Error,
};

/// The number of sessions of this database that are hidden from the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sights(usize);

impl Sights {
    pub(super) async fn read(system: &SharedDb) -> Result<Self, Error> {
        let asked = sqlx::query_scalar(HIDDEN).persistent(false).fetch_one(system).await;
        let hidden: i64 = asked?;
        Ok(Self(usize::try_from(hidden).unwrap_or_default()))
    }
}

/// Records the sessions that the role cannot see.
pub(super) fn hidden(examined: Examined, sights: Sights) -> Examined {
    match sights {
        Sights(0) => examined,
        Sights(count) => {
            let sessions = counted(count, "session", "sessions");
            examined.unseen(format!(
                "{sessions} of other roles: grant pg_read_all_stats (or pg_monitor)"
            ))
        }
    }
}

/// A role sees the sessions of the roles whose privileges it has, and with `pg_read_all_stats` all.
const HIDDEN: &str = "\
    select pg_catalog.count(*) from pg_catalog.pg_stat_activity a \
    where a.datname operator(pg_catalog.=) pg_catalog.current_database() and a.usesysid is not null \
    and not pg_catalog.pg_has_role(a.usesysid, 'usage') \
    and not pg_catalog.pg_has_role('pg_read_all_stats', 'usage')";
