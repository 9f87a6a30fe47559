//! Binds a session to an occupant: resets it, verifies the response, and decides which prepared
//! statements stay.

use std::sync::Arc;

use sqlx::{
    Connection, Executor, PgConnection, Row, SqlStr,
    postgres::{PgRow, PgTransactionManager, types::Oid},
    raw_sql,
};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use super::{
    super::{
        look::Look,
        manner::{KeepStatements, Manner},
        occupant::Occupant,
        pin::{Pin, Pinned, pin_sql, schema_in},
        reset::{Reset, ResetRow, Terms, Upkeep, bind_sql, draw},
        retired_keys::{KeyAnswer, KeyQuestion},
        session_error::{leaves_session_usable, lost},
        shape::Alike,
    },
    Bound, Purpose, Result, Session,
    statements::Owner,
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, Schema},
};

/// The first version with `transaction_timeout`.
const TRANSACTION_TIMEOUT_SINCE: u32 = 17_00_00;

/// One bind.
#[derive(Debug, Clone, Copy)]
struct Binding<'a> {
    to: &'a Occupant,
    manner: Manner,
    purpose: Purpose,
    reset: Reset,
    discard_plans: bool,
    pin: Pin,
}

/// Findings of a reset.
#[derive(Debug)]
struct Found {
    /// `true` if a transaction was open although only plain queries had run; a plain reset does not
    /// end it.
    in_transaction: bool,
    /// The schema that has the occupant's name.
    schema: Schema,
    looked: bool,
    /// The answer to the question about keys that were given up.
    keys: KeyAnswer,
}

impl Found {
    fn is_complete(&self) -> bool {
        !self.in_transaction && self.keys == KeyAnswer::Read
    }
}

impl Session {
    /// Binds the session to the occupant: removes all previous state, then sets its search path,
    /// role and settings. One round trip if statements may stay or there are none.
    ///
    /// # Errors
    ///
    /// The server's errors, and this crate's [`Error`] when the occupant's schema is not the one
    /// that the occupant was created for.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session is unbound; call again.
    pub(crate) async fn bind(
        &mut self,
        to: &Arc<Occupant>,
        manner: Manner,
        purpose: Purpose,
    ) -> Result<()> {
        let (changes, limits) = (to.changes(), to.limits.version());
        let before = self.bound.take();
        #[cfg(test)]
        {
            self.broken = manner.broken;
        }
        #[cfg(test)]
        if let Some(before) = &before
            && manner.broken.skips_bind(&before.to, to)
        {
            let Bound { seen_as, hooked, pinned, .. } = *before;
            self.bound =
                Some(Bound { to: Arc::clone(to), changes, limits, seen_as, hooked, pinned });
            return Ok(());
        }
        let reset = self.begin_reset();
        if reset != Reset::Bare || to.retired_keys().is_some() {
            // What is asked about keys depends on whether the server is a standby.
            self.ask_who().await?;
        }
        let owner = self.owner(before.as_ref(), to);
        let binding = Binding {
            to,
            manner,
            purpose,
            reset,
            discard_plans: owner == Owner::Other && (self.odd_plans || makes_odd_plans(to)),
            pin: pin_of(to, purpose, before.filter(|_| owner == Owner::Same)),
        };
        let began = Instant::now();
        let found = self.reset_to_the_end(binding).await?;
        self.odd_plans = makes_odd_plans(to) || (self.odd_plans && !binding.discard_plans);
        to.check(found.schema)?;
        self.check_database(to).await?;
        if owner == Owner::Other || found.looked || self.statements.are_doubtful() {
            self.sort_out_statements(to, manner, owner).await?;
        }
        let mut bound = Bound {
            to: Arc::clone(to),
            changes,
            limits,
            seen_as: began,
            hooked: to.after_bind().is_none(),
            pinned: binding.pin != Pin::No,
        };
        // Drops borrowed statements; sets the pin if the schema was not known before.
        if let Some(at) = self.fit(to, bound.pinned, purpose).await? {
            bound.note_pin(at);
        }
        self.check_extensions(to).await?;
        self.bound = Some(bound);
        self.touched = false;
        self.wear.serve(to.serial_of_tables(), to.tables());
        Ok(())
    }

    /// Finds out for whom the statements in the cache were prepared.
    fn owner(&mut self, before: Option<&Bound>, to: &Arc<Occupant>) -> Owner {
        match before {
            Some(before) if before.has_statements_of(to) => return Owner::Same,
            // The tables were changed since: statements prepared for them may no longer match.
            Some(before) if Arc::ptr_eq(&before.to, to) => self.statements.distrust(),
            Some(_) | None => {}
        }
        Owner::Other
    }

    /// Decides on the reset, and marks the session: until the bind has finished, any part may be
    /// incomplete.
    fn begin_reset(&mut self) -> Reset {
        let touched = std::mem::replace(&mut self.touched, true);
        while self.conn.is_in_transaction() {
            // Decrements sqlx's own count of open transactions with the rollback.
            PgTransactionManager::start_rollback(&mut self.conn);
        }
        // A session that caches nothing may have its cache disabled: sqlx then leaves every
        // statement behind.
        match (self.conn.cached_statements_size(), touched) {
            (0, _) => Reset::Bare,
            (_, true) => Reset::Thorough,
            (_, false) => Reset::Plain,
        }
    }

    /// Resets the session, and once more if it turns out to be in a state that the first reset does
    /// not undo.
    async fn reset_to_the_end(&mut self, binding: Binding<'_>) -> Result<Found> {
        let thoroughly = Binding { reset: Reset::Thorough, ..binding };
        let first = self.reset_and_set(binding).await;
        if self.is_unasked {
            // It did not answer, or refused what another connection has found to be possible.
            self.identity.ask_again();
        }
        let mut found = match first {
            Ok(found) if found.is_complete() => found,
            Err(error) if !leaves_session_usable(&error) => return Err(error),
            // A transaction is open after all, or the failure is that of the previous statement,
            // whose response was not read, or that of the reset inside a failed transaction.
            Ok(_) | Err(_) => {
                self.settle().await?;
                self.ask_who().await?;
                self.reset_and_set(thoroughly).await?
            }
        };
        if found.keys == KeyAnswer::ReadNext {
            // The table of keys that were given up was there before, or is there now.
            found = self.reset_and_set(thoroughly).await?;
        }
        #[cfg(test)]
        let found =
            Found { schema: binding.manner.broken.trust(found.schema, binding.to), ..found };
        Ok(found)
    }

    /// Sends the reset as one string and verifies its response.
    ///
    /// One of its statements returns an unpredictable number. If the message stream had slipped,
    /// for example through a `COPY` that was dropped midway, the row would be missing or a
    /// different one, and the connection is discarded.
    async fn reset_and_set(&mut self, binding: Binding<'_>) -> Result<Found> {
        let to = binding.to;
        let look = binding.purpose != Purpose::Upkeep && to.needs_a_look();
        let echo = draw();
        let began = Instant::now();
        let retired_keys = to.retired_keys();
        let on_standby = self.identity.is_on_standby();
        let keys = retired_keys.and_then(|keys| keys.question(began, on_standby));
        let terms = self.terms(binding, look, echo, keys);
        let asks_who = terms.who;
        let sql = bind_sql(to, terms);
        #[cfg(test)]
        let sql = binding.manner.broken.break_sql(sql);
        let rows = self.send(sql).await.inspect_err(|error| {
            if let (Some(retired), Some(true)) = (retired_keys, keys.map(KeyQuestion::reads))
                && may_not_be_read(error)
            {
                retired.doubt();
            }
        })?;
        let answer = ResetRow::find(&rows).filter(|row| row.echo().is_ok_and(|got| got == echo));
        let row = answer.ok_or_else(|| lost("the response to a reset is missing"))?;
        let backend = row.backend()?;
        if asks_who {
            // What waits for others, or looks at tables, says little about the server.
            let is_plain = binding.pin != Pin::AfterDrop && !look;
            self.round_trip = is_plain.then(|| began.elapsed());
            self.note_first(row.first()?)?;
        }
        self.identity.compare(backend)?;
        self.backend = Some(backend);
        if binding.manner.on_replica {
            self.replayed = Some(row.replayed()?);
        }
        let schema = match binding.pin {
            Pin::AfterDrop => schema_in(&rows)?,
            Pin::Yes | Pin::No => row.schema()?,
        };
        if look {
            note_look(to, &rows, began)?;
        }
        let keys = match (retired_keys, keys) {
            (Some(retired), Some(question)) => retired.note(question, &rows)?,
            _ => KeyAnswer::Read,
        };
        let own_transaction = row.is_own_transaction()?;
        let escapes = row.reads_escapes()?;
        if *self.escapes.get_or_insert(escapes) != escapes {
            // Statements that were prepared meanwhile mean something else to other tenants.
            self.statements.distrust();
        }
        if rows.iter().any(PgRow::is_empty) {
            self.deallocate().await?;
        }
        if binding.reset == Reset::Thorough {
            self.compare_statements(row.statements()?).await?;
        }
        let in_transaction = binding.reset == Reset::Plain && !own_transaction;
        Ok(Found { in_transaction, schema, looked: look, keys })
    }

    fn terms<'t>(
        &'t self,
        binding: Binding<'_>,
        look: bool,
        echo: i64,
        keys: Option<KeyQuestion<'t>>,
    ) -> Terms<'t> {
        let Binding { to, manner, purpose, reset, discard_plans, pin } = binding;
        let is_upkeep = purpose == Purpose::Upkeep || to.id.is_upkeep();
        Terms {
            reset,
            discard_plans,
            echo,
            checked: self.checks_clients,
            idle_in_transaction: manner.idle_in_transaction_of(to),
            who: self.is_unasked,
            upkeep: is_upkeep.then(|| self.upkeep()),
            look,
            pin,
            keys,
            name: manner.name_tenants.then_some(&*self.name),
            on_replica: manner.on_replica,
        }
    }

    fn upkeep(&self) -> Upkeep {
        let version = self.server_version();
        let transaction_timeout =
            version.is_some_and(|version| version >= TRANSACTION_TIMEOUT_SINCE);
        Upkeep { transaction_timeout }
    }

    async fn send(&mut self, sql: SqlStr) -> Result<Vec<PgRow>> {
        if !sql.as_str().is_ascii() {
            // The server parses the whole string in the encoding that is set when it arrives, and
            // in the wrong one the name of a schema may become another.
            self.conn.execute(raw_sql("begin; rollback; reset client_encoding")).await?;
        }
        self.conn.fetch_all(raw_sql(sql)).await
    }

    /// Reads the remaining responses and ends a transaction that is still open.
    ///
    /// It has a separate timeout, because that may be shorter than a whole reset takes.
    pub(super) async fn settle(&mut self) -> Result<()> {
        for sql in ["rollback", "reset statement_timeout"] {
            while let Err(error) = raw_sql(sql).execute(&mut self.conn).await {
                if !leaves_session_usable(&error) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Drops statements that were prepared with SQL's `PREPARE`, which sqlx does not know.
    async fn deallocate(&mut self) -> Result<()> {
        let names = "select name from pg_catalog.pg_prepared_statement() where from_sql";
        let mut sql = Sql::default();
        for row in self.conn.fetch_all(raw_sql(names)).await? {
            let name = Ident::parse(row.try_get(0)?);
            let name = name.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            sql.text("deallocate ").ident(&name).text("; ");
        }
        self.conn.execute(raw_sql(sql.finish())).await.map(drop)
    }

    /// Drops all statements if the server has another number of them than sqlx: some were
    /// deallocated behind sqlx's back, or one was abandoned while it was being prepared.
    async fn compare_statements(&mut self, on_server: i64) -> Result<()> {
        if i64::try_from(self.conn.cached_statements_size()).ok() != Some(on_server) {
            self.clear_statements().await?;
            self.conn.execute(raw_sql("deallocate all")).await?;
        }
        Ok(())
    }

    /// Keeps the prepared statements if the new occupant can use them, otherwise drops them.
    async fn sort_out_statements(
        &mut self,
        to: &Occupant,
        manner: Manner,
        owner: Owner,
    ) -> Result<()> {
        let alike = match manner.keep {
            KeepStatements::WhenAlike => to.alike(),
            KeepStatements::Never => Alike::Unlike,
        };
        let usable = self.statements.fit(alike, owner);
        #[cfg(test)]
        let usable = usable || manner.broken.keeps_statements;
        if !usable {
            self.clear_statements().await?;
        }
        self.statements.pass_to(alike, if usable { owner } else { Owner::Same });
        #[cfg(test)]
        if manner.broken.keeps_statements {
            self.statements.forget_borrowing();
        }
        Ok(())
    }

    /// Checks that a tenant's database is the one that its handle was used in before. One query for
    /// each connection: a session ends with its database.
    async fn check_database(&mut self, to: &Occupant) -> Result<()> {
        if !to.has_database() {
            return Ok(());
        }
        let oid = match self.database {
            Some(oid) => oid,
            None => *self.database.insert(oid_of_database(&mut self.conn).await?),
        };
        Ok(to.check_database(oid)?)
    }

    /// Checks the extension schemas again if one was missing when the session was opened.
    pub(super) async fn check_extensions(&mut self, to: &Occupant) -> Result<()> {
        if self.lacks_extensions
            && let Some(extensions) = &to.extensions
        {
            extensions.check(&mut self.conn).await?;
            self.lacks_extensions = false;
        }
        Ok(())
    }

    /// Prepares a session that is bound to the occupant, and known as such, for this purpose.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session has to be bound again.
    pub(in crate::pool) async fn make_ready(
        &mut self,
        occupant: &Occupant,
        purpose: Purpose,
    ) -> Result<()> {
        let pinned = self.bound.as_ref().is_some_and(|bound| bound.pinned);
        let pinned_at = self.fit(occupant, pinned, purpose).await?;
        if let (Some(at), Some(bound)) = (pinned_at, &mut self.bound) {
            bound.note_pin(at);
        }
        Ok(())
    }

    /// Drops statements that were prepared for other tenants, and pins the schema, where this
    /// purpose requires it. Returns when the schema was pinned, if it was.
    async fn fit(
        &mut self,
        occupant: &Occupant,
        pinned: bool,
        purpose: Purpose,
    ) -> Result<Option<Instant>> {
        if purpose.wants_own_statements() && self.statements.are_borrowed() {
            self.clear_statements().await?;
        }
        let pin = purpose.pin(occupant);
        let (false, true, Some(what)) = (pinned, pin != Pin::No, occupant.pinned()) else {
            return Ok(None);
        };
        let began = Instant::now();
        let rows = self.conn.fetch_all(raw_sql(pin_sql(pin, what))).await?;
        if let Pinned::Key(_) = what {
            // Whose key it is, is not known any longer than before.
            return Ok(Some(self.bound.as_ref().map_or(began, |bound| bound.seen_as)));
        }
        let schema = schema_in(&rows)?;
        #[cfg(test)]
        let schema = self.broken.trust(schema, occupant);
        occupant.check(schema)?;
        Ok(Some(began))
    }
}

impl Bound {
    /// Records that the session pinned the schema, under its name, at this time.
    fn note_pin(&mut self, at: Instant) {
        (self.seen_as, self.pinned) = (at, true);
    }
}

/// Returns `true` if a table may be missing or private.
fn may_not_be_read(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P01" | "3F000" | "42501"))
}

/// Returns `true` if plans inside functions are made under settings other than the server's.
fn makes_odd_plans(occupant: &Occupant) -> bool {
    !occupant.binding.settings().is_empty()
}

/// Decides on the pin. `same` is the bind before, if it was to the same occupant.
fn pin_of(to: &Occupant, purpose: Purpose, same: Option<Bound>) -> Pin {
    match (purpose, same) {
        // The next use is likely a lease again, which then needs no round trip for the pin.
        (Purpose::Idle, Some(Bound { pinned: true, .. })) if !to.is_always_pinned() => Pin::Yes,
        _ => purpose.pin(to),
    }
}

/// Records the result of an inspection of the schemas.
pub(super) fn note_look(of: &Occupant, rows: &[PgRow], began: Instant) -> Result<()> {
    let took = began.elapsed();
    let Some(look) = Look::find(rows)? else {
        return Err(lost("the response to an inspection of the schemas is missing"));
    };
    if let Some(schema) = look.unusable {
        // The next bind inspects again.
        let role = of.binding.role().map_or("the connection's role".into(), Ident::to_string);
        let attempted = format!(
            "{role} may not use the extension schema {schema}, and would find none of its operators: \
             grant usage on schema {schema} to it"
        );
        return Err(of.name(Error::new(ErrorKind::Config, attempted)).into());
    }
    if !of.schemas_of_tables().is_empty() {
        of.set_tables(u32::try_from(look.tables).unwrap_or(u32::MAX));
    }
    // Types in tables of all tenants are the same for each of them.
    let unlike = look.own_types && !of.has_rows();
    let alike = if unlike { Alike::Unlike } else { Alike::Key(look.key) };
    of.note_look(alike, look.unruly, took);
    Ok(())
}

/// Returns the OID of the database that a connection is in.
async fn oid_of_database(conn: &mut PgConnection) -> Result<u32> {
    let oid = "select d.oid from pg_catalog.pg_database d \
               where d.datname operator(pg_catalog.=) pg_catalog.current_database()";
    let Oid(oid) = conn.fetch_one(raw_sql(oid)).await?.try_get(0)?;
    Ok(oid)
}
