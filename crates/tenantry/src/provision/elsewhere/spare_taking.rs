//! Turns a spare database into a tenant's.

use std::collections::HashSet;

use parking_lot::Mutex;
use sqlx::{PgConnection, SqlStr};

use super::{
    super::spare_note::SpareNote,
    spare::{self, SpareDatabase, State, template_of},
};
use crate::{error::Error, tenant::Ident};

/// Which spares a database can be made from.
pub(super) struct Eligible<'a> {
    /// What those of our files are made from.
    pub(super) made_from: String,
    /// The last version of our files.
    pub(super) latest: i64,
    /// What those were made from that cannot be brought up to our files.
    pub(super) passed_over: &'a Mutex<HashSet<String>>,
}

/// A spare that has become a tenant's database.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) made_from: String,
}

impl Eligible<'_> {
    /// Returns `true` if a spare was made from our files, or from earlier ones that can be completed.
    fn may_be(&self, note: &SpareNote) -> bool {
        self.is_ours(note)
            || note.latest < self.latest
                && template_of(&note.hash) == template_of(&self.made_from)
                && !self.passed_over.lock().contains(&note.hash)
    }

    fn is_ours(&self, note: &SpareNote) -> bool {
        note.hash == self.made_from
    }

    /// Returns those that can be tried, the ones of our own files first.
    fn of(&self, spares: Vec<SpareDatabase>) -> Vec<Ident> {
        let ready = spares.into_iter().filter(|spare| !spare.is_in_use);
        let eligible = ready.filter_map(|spare| match spare.state {
            State::Ready(note) if self.may_be(&note) => Some((!self.is_ours(&note), spare.name)),
            _ => None,
        });
        let mut eligible: Vec<_> = eligible.collect();
        eligible.sort();
        eligible.into_iter().map(|(_, name)| name).collect()
    }
}

/// Renames a spare with the statements that `name_sql` returns for it: one transaction that marks it as made by a
/// creation, and gives it the tenant's name. Whenever the process is killed, the database is either still a spare or
/// found by the creation's mark. The inner error is the server's refusal.
pub(super) async fn take_spare(
    conn: &mut PgConnection,
    eligible: &Eligible<'_>,
    name_sql: impl Fn(&Ident) -> SqlStr,
) -> Result<sqlx::Result<Option<Taken>>, Error> {
    for name in eligible.of(spare::list(conn).await?) {
        if !spare::try_lock(conn, &name).await? {
            continue;
        }
        let taken = take(conn, eligible, &name, name_sql(&name)).await;
        spare::unlock(conn, &name).await?;
        match taken? {
            Ok(None) => {}
            taken => return Ok(taken),
        }
    }
    Ok(Ok(None))
}

async fn take(
    conn: &mut PgConnection,
    eligible: &Eligible<'_>,
    name: &Ident,
    sql: SqlStr,
) -> Result<sqlx::Result<Option<Taken>>, Error> {
    // Its previous holder may have taken or removed it after it was listed.
    let note = match spare::find(conn, name).await? {
        Some(SpareDatabase { state: State::Ready(note), .. }) if eligible.may_be(&note) => note,
        _ => return Ok(Ok(None)),
    };
    let Err(error) = sqlx::raw_sql(sql).execute(&mut *conn).await else {
        return Ok(Ok(Some(Taken { made_from: note.hash })));
    };
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        // A session of someone else has connected to it, or it was renamed.
        Some("55006" | "3D000" | "XX000") => Ok(Ok(None)),
        _ => Ok(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spare(name: &str, from: &str, latest: i64, is_in_use: bool) -> SpareDatabase {
        let note = SpareNote::new(from, latest, Duration::from_secs(1));
        let name = Ident::parse(name).expect("a name");
        SpareDatabase { name, state: State::Ready(note), is_in_use }
    }

    #[test]
    fn our_own_come_first_and_newer_ones_never() {
        let passed_over = Mutex::new(HashSet::from(["bad".to_owned()]));
        let eligible = Eligible { made_from: "new".into(), latest: 3, passed_over: &passed_over };
        let half = Ident::parse("half").expect("a name");
        let half = SpareDatabase { name: half, state: State::HalfMade, is_in_use: false };
        let spares = vec![
            spare("earlier", "old", 2, false),
            half,
            spare("later", "newest", 4, false),
            spare("another", "other", 3, false),
            spare("visited", "new", 3, true),
            spare("own", "new", 3, false),
            spare("in vain", "bad", 1, false),
            spare("of a template", "old-61", 2, false),
        ];
        let names: Vec<_> = eligible.of(spares).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["own", "earlier"]);
    }
}
