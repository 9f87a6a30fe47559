//! The messages on a connection that is bound for one transaction at a time.

use std::sync::Arc;

use sqlx::{Connection, Executor, SqlStr, postgres::PgTransactionManager, raw_sql};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use super::{
    super::{
        fleeting::{
            Begin, BeginRow, BeginTerms, Begun, Open, Settled, Traces, begin_sql,
            commit_handed_out_sql, commit_sql, is_echo, require_sql, roll_back_handed_out_sql,
            rollback_sql, says_over, setting_without_effect,
        },
        manner::Manner,
        occupant::Occupant,
        reset::draw,
        retired_keys::KeyAnswer,
        session_error::{leaves_session_usable, lost},
    },
    Result, Session,
    bind::note_look,
};
use crate::error::{Error, ErrorKind};

/// How many errors of earlier statements may be found unread before a connection is given up.
const MOST_UNREAD: usize = 8;

impl Session {
    /// Returns `true` if it is bound for one transaction at a time.
    pub(crate) fn is_fleeting(&self) -> bool {
        self.fleeting.is_some()
    }

    /// Returns `true` if it is bound for one transaction at a time, and no transaction is open.
    pub(in crate::pool) fn is_at_rest(&self) -> bool {
        self.fleeting.as_ref().is_some_and(|fleeting| fleeting.open.is_none())
    }

    /// Begins a transaction that is bound to the occupant. One round trip.
    ///
    /// # Errors
    ///
    /// The server's errors, and this crate's [`Error`] when the occupant's schema is not the one
    /// that the occupant was created for.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a transaction may be open; [`settle_fleeting`](Self::settle_fleeting) ends it.
    pub(in crate::pool) async fn begin_fleeting(
        &mut self,
        to: &Arc<Occupant>,
        manner: Manner,
        begin: Option<Begin>,
        checked: bool,
    ) -> Result<()> {
        // A single statement is not handed out.
        let is_handed_out = begin.is_some();
        let Begin::With(modes) = begin.unwrap_or_default() else {
            return Err(sqlx::Error::BeginFailed);
        };
        if let Some(name) = setting_without_effect(&to.binding) {
            let attempted = format!(
                "its record sets {name}, which has no effect on a transaction that has begun, and a transaction pooler \
                 keeps no session: remove it from the record"
            );
            return Err(to.name(Error::new(ErrorKind::Config, attempted)).into());
        }
        self.check_extensions(to).await?;
        let Some(fleeting) = &mut self.fleeting else {
            return Err(lost("the connection has a session"));
        };
        let before = fleeting.open.replace(Open::Unknown);
        if before.is_some() {
            return Err(lost("a transaction is open on the connection"));
        }
        if !fleeting.serves(to) {
            // sqlx looks types up by name only once. Without cached statements it sends nothing.
            self.conn.clear_cached_statements().await?;
            fleeting.serve(to);
        }
        let (deallocates, seen) = (!fleeting.tracks_statements, fleeting.seen);
        loop {
            let (echo, began) = (draw(), Instant::now());
            let retired_keys = to.retired_keys();
            let keys = retired_keys.and_then(|keys| keys.question(began, false));
            let look = to.needs_a_look();
            // A statement is committed at once, however long its rows are read.
            let idle = manner.idle_in_transaction_of(to).filter(|_| is_handed_out);
            let is_known = |seen: Instant| to.is_known_for(began - seen, began, false);
            let is_seen = !is_handed_out
                && !to.is_always_pinned()
                && !look
                && keys.is_none()
                && seen.is_some_and(is_known);
            let terms = BeginTerms {
                modes,
                is_seen,
                is_handed_out,
                echo,
                deallocates,
                checked,
                idle_in_transaction: idle,
                look,
                keys,
                name: &self.name,
                name_tenant: manner.name_tenants,
            };
            let rows = self.conn.fetch_all(raw_sql(begin_sql(to, terms))).await?;
            if is_seen {
                to.check_key()?;
                self.note_begun(Box::default());
                return Ok(());
            }
            let row = BeginRow::find(&rows, echo);
            let row =
                row.ok_or_else(|| lost("the response to the begin of a transaction is missing"))?;
            self.backend = Some(row.backend()?);
            let database = row.database()?;
            if self.database.replace(database).is_some_and(|before| before != database) {
                return Err(lost("the connection of a lease was exchanged"));
            }
            to.check(row.schema()?)?;
            if to.has_database() {
                to.check_database(database)?;
            }
            if look {
                note_look(to, &rows, began)?;
            }
            let answer = match (retired_keys, keys) {
                (Some(retired), Some(question)) => retired.note(question, &rows)?,
                _ => KeyAnswer::Read,
            };
            if answer == KeyAnswer::ReadNext {
                // The table of keys that were given up has turned out to exist.
                raw_sql("rollback").execute(&mut self.conn).await?;
                continue;
            }
            to.check_key()?;
            self.note_begun(row.mark()?);
            if let Some(fleeting) = &mut self.fleeting {
                fleeting.seen = Some(began);
            }
            return Ok(());
        }
    }

    fn note_begun(&mut self, mark: Box<str>) {
        if let Some(open) = self.open_mut() {
            *open = Open::Begun(Begun { mark, leaves_traces: false });
        }
    }

    /// Records that a statement of the open transaction may have changed more than data.
    pub(in crate::pool) fn note_traces(&mut self) {
        if let Some(Open::Begun(begun)) = self.open_mut() {
            begun.leaves_traces = true;
        }
    }

    fn open_mut(&mut self) -> Option<&mut Open> {
        self.fleeting.as_mut().and_then(|fleeting| fleeting.open.as_mut())
    }

    fn mark(&self) -> Option<&str> {
        match self.fleeting.as_ref()?.open.as_ref()? {
            Open::Begun(begun) => Some(&begun.mark),
            Open::Unknown | Open::Committed | Open::RolledBack => None,
        }
    }

    /// Commits the transaction of one statement, which sqlx does not count.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the transaction may or may not be committed.
    pub(in crate::pool) async fn commit_fleeting(&mut self) -> Result<()> {
        let traces = match self.open_mut().map(|open| std::mem::replace(open, Open::Unknown)) {
            Some(Open::Begun(Begun { leaves_traces: false, .. })) => Traces::None,
            _ => Traces::Any,
        };
        self.conn.execute(raw_sql(commit_sql(traces, &self.name))).await?;
        self.rest();
        Ok(())
    }

    /// Returns the string that commits the open transaction, which was handed out.
    pub(in crate::pool) fn commit_handed_out_sql(&self) -> Option<SqlStr> {
        self.mark().map(|mark| commit_handed_out_sql(mark, &self.name))
    }

    /// Returns the string that rolls the open transaction back, which was handed out, if it is bound for itself.
    pub(in crate::pool) fn roll_back_handed_out_sql(&self) -> Option<SqlStr> {
        self.is_fleeting().then(|| roll_back_handed_out_sql(&self.name))
    }

    /// Records how the transaction has ended, if it was ended without an error.
    pub(in crate::pool) fn note_end<T>(&mut self, ended: &Result<T>, how: Open) {
        if let Some(open) = self.open_mut() {
            *open = if ended.is_ok() { how } else { Open::Unknown };
        }
    }

    fn rest(&mut self) {
        if let Some(fleeting) = &mut self.fleeting {
            fleeting.open = None;
        }
    }

    /// Ends whatever transaction is open. Afterwards the connection can be used for another occupant.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or its responses are not those to what was sent.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the connection has to be closed.
    pub(in crate::pool) async fn settle_fleeting(&mut self) -> Result<Settled> {
        let mut settled = Settled::Fine;
        // What was committed was found to be its own transaction.
        let is_its_own = matches!(self.open_mut(), None | Some(Open::Committed));
        if let Some(fleeting) = self.fleeting.as_mut().filter(|_| !is_its_own) {
            fleeting.forget();
        }
        self.read_to_end().await?;
        if let (true, Some(mark)) = (self.conn.is_in_transaction(), self.mark()) {
            // Refused by a transaction that has failed: it is still open.
            let required = self.conn.execute(raw_sql(require_sql(mark))).await;
            match required {
                Err(error) if !leaves_session_usable(&error) => return Err(error),
                Err(error) if says_over(&error) => settled = Settled::WasOver,
                Err(_) | Ok(_) => {}
            }
        }
        let has_ended = matches!(self.open_mut(), None | Some(Open::Committed | Open::RolledBack));
        let ends_by_itself = self.conn.is_in_transaction() || has_ended;
        if self.conn.is_in_transaction() && !has_ended {
            self.read_to_end().await?;
            while PgTransactionManager::get_transaction_depth(&self.conn) > 1 {
                PgTransactionManager::start_rollback(&mut self.conn);
            }
            self.read_to_end().await?;
            self.conn.execute(raw_sql(roll_back_handed_out_sql(&self.name))).await?;
        }
        while self.conn.is_in_transaction() {
            PgTransactionManager::start_rollback(&mut self.conn);
        }
        match ends_by_itself {
            true => self.read_to_end().await?,
            false => self.roll_back().await?,
        }
        self.rest();
        Ok(settled)
    }

    async fn roll_back(&mut self) -> Result<()> {
        self.read_to_end().await?;
        let echo = draw();
        let rows = self.conn.fetch_all(raw_sql(rollback_sql(echo, &self.name))).await?;
        match rows.iter().any(|row| is_echo(row, echo)) {
            true => Ok(()),
            false => Err(lost("the response to a rollback is missing")),
        }
    }

    /// Reads the responses to everything that was sent.
    async fn read_to_end(&mut self) -> Result<()> {
        for _ in 0..MOST_UNREAD {
            match self.conn.flush().await {
                // That of an earlier statement.
                Err(error) if leaves_session_usable(&error) => {}
                read => return read,
            }
        }
        Err(lost("the responses to earlier statements do not end"))
    }
}
