//! Runs the application's hook on a session that was bound, and checks that it still belongs to the
//! tenant.

use sqlx::{Executor, Row, SqlStr, postgres::PgRow, raw_sql};

use super::{
    super::{
        hook::run_hook,
        occupant::Occupant,
        reset::draw,
        session_error::{leaves_session_usable, lost},
    },
    Result, Session,
};
use crate::{
    error::{Error, ErrorKind, own},
    sql::Sql,
};

/// State of a session without any tenant's settings; constant during the lifetime of the
/// connection.
#[derive(Debug)]
pub(super) struct Plain {
    session_user: String,
    /// The settings that decide how the text of a statement is parsed.
    reading: String,
}

/// The settings that decide how the text of a statement, and its constants, are parsed.
const READING: [&str; 8] = [
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "backslash_quote",
    "default_text_search_config",
    "standard_conforming_strings",
    "transform_null_equals",
];

impl Session {
    /// Runs the occupant's hook on a session that was bound to it, and checks the resulting state.
    ///
    /// # Errors
    ///
    /// The server's error when the connection breaks; this crate's [`Error`] of kind
    /// [`Hook`](ErrorKind::Hook) when the hook fails, or leaves the session outside the tenant.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the connection has to be closed.
    pub(in crate::pool) async fn follow_up(&mut self, occupant: &Occupant) -> Result<()> {
        let Some(after_bind) = occupant.after_bind() else {
            self.note_hooked();
            return Ok(());
        };
        let plain = match self.plain.take() {
            Some(plain) => plain,
            None => self.read_plain().await?,
        };
        // It may do anything: the next reset is thorough, and plans are discarded.
        (self.touched, self.odd_plans) = (true, true);
        self.identity.hand_out();
        let conn = &mut self.conn;
        // Inside the future, so that a panic before its first await is caught as well.
        let run = async move { after_bind.run(conn).await };
        run_hook("after_bind", run).await.map_err(unless_broken)?;
        self.check_place(occupant, &plain).await?;
        self.plain = Some(plain);
        self.note_hooked();
        Ok(())
    }

    fn note_hooked(&mut self) {
        if let Some(bound) = &mut self.bound {
            bound.hooked = true;
        }
    }

    async fn read_plain(&mut self) -> Result<Box<Plain>> {
        let row = self.conn.fetch_one(raw_sql(plain_sql())).await?;
        Ok(Box::new(Plain::try_from(&row)?))
    }

    /// Checks, in one round trip, that the session is where the bind has put it.
    async fn check_place(&mut self, occupant: &Occupant, plain: &Plain) -> Result<()> {
        let echo = draw();
        let rows = match self.conn.fetch_all(raw_sql(place_sql(occupant, echo))).await {
            Ok(rows) => rows,
            // A failed transaction refuses all other statements.
            Err(error) if leaves_session_usable(&error) => {
                return Err(left("a transaction that has failed").with_source(error).into());
            }
            Err(error) => return Err(error),
        };
        let [row] = &rows[..] else {
            return Err(lost("the response to a check of the session is missing"));
        };
        let place = Place::try_from(row)?;
        if place.echo != echo {
            return Err(lost("the response to a check of the session is missing"));
        }
        // The hook may have replaced the connection by one to the same schema of another server.
        let is_another = |_| sqlx::Error::from(left("another connection"));
        self.identity.compare(place.backend).map_err(is_another)?;
        if let Some(what) = place.differs_from(occupant, plain) {
            return Err(left(what).into());
        }
        if place.reading != plain.reading {
            // Statements prepared from here on are parsed differently from those of other tenants.
            self.statements.note_handed_out();
        }
        Ok(())
    }
}

/// State of a session after a hook: the row of [`place_sql`].
struct Place<'r> {
    echo: i64,
    is_in_search_path: bool,
    role: &'r str,
    session_user: &'r str,
    is_own_transaction: bool,
    /// The settings that decide how the text of a statement is parsed.
    reading: &'r str,
    backend: i32,
}

impl Place<'_> {
    /// Returns what the hook has left that does not belong to the occupant.
    fn differs_from(&self, occupant: &Occupant, plain: &Plain) -> Option<&'static str> {
        let role = occupant.binding.role().map_or("none", |role| role.as_str());
        let holds = [
            (self.is_in_search_path, "another search_path"),
            (self.role == role, "another role"),
            (self.session_user == plain.session_user, "another session user"),
            (self.is_own_transaction, "an open transaction"),
        ];
        holds.into_iter().find(|(holds, _)| !holds).map(|(_, what)| what)
    }
}

impl<'r> TryFrom<&'r PgRow> for Place<'r> {
    type Error = sqlx::Error;

    fn try_from(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            echo: row.try_get(0)?,
            is_in_search_path: row.try_get(1)?,
            role: row.try_get(2)?,
            session_user: row.try_get(3)?,
            is_own_transaction: row.try_get(4)?,
            reading: row.try_get(5)?,
            backend: row.try_get(6)?,
        })
    }
}

impl TryFrom<&PgRow> for Plain {
    type Error = sqlx::Error;

    fn try_from(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { session_user: row.try_get(0)?, reading: row.try_get(1)? })
    }
}

fn left(what: &'static str) -> Error {
    Error::new(ErrorKind::Hook, format!("after_bind left {what}"))
}

/// Returns the server's error if the connection broke in the hook, because another connection may
/// work.
fn unless_broken(error: Error) -> sqlx::Error {
    let broken = |error: &sqlx::Error| !leaves_session_usable(error) && own(error).is_none();
    match error.into_source_if(broken) {
        Ok(source) => source,
        Err(error) => error.into(),
    }
}

fn plain_sql() -> SqlStr {
    let mut sql = Sql::new(
        "select session_user::pg_catalog.text, pg_catalog.string_agg( \
           pg_catalog.concat(s.reset_val, ''), '/' order by s.name collate \"C\") \
         from pg_catalog.pg_show_all_settings() s where s.name operator(pg_catalog.=) any (array[",
    );
    for (index, name) in READING.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(name);
    }
    sql.text("])");
    sql.finish()
}

fn place_sql(occupant: &Occupant, echo: i64) -> SqlStr {
    let mut sql = Sql::new("select ");
    sql.integer(echo).text(
        ", pg_catalog.texteq(pg_catalog.current_setting('search_path'), pg_catalog.concat_ws(', '",
    );
    for schema in occupant.binding.search_path.iter() {
        sql.text(", pg_catalog.quote_ident(").literal(schema.as_str()).text(")");
    }
    if occupant.binding.search_path.is_empty() {
        sql.text(", '\"\"'");
    }
    sql.text(
        ")), pg_catalog.current_setting('role'), session_user::pg_catalog.text, \
         pg_catalog.timestamptz_eq(pg_catalog.transaction_timestamp(), \
         pg_catalog.statement_timestamp()), pg_catalog.concat_ws('/'",
    );
    for name in READING {
        sql.text(", pg_catalog.current_setting(").literal(name).text(")");
    }
    sql.text("), pg_catalog.pg_backend_pid()");
    sql.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_listed_in_the_order_in_which_they_are_read() {
        assert!(READING.is_sorted(), "bytewise, as the collation C has it");
    }
}
