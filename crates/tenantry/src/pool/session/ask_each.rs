//! Asks many occupants for one value each, in one round trip.

use std::{io, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{Executor, Row, SqlStr, postgres::PgRow, raw_sql};
use tokio::time::timeout;

use super::{
    super::{
        occupant::Occupant,
        reset::{Pin, Reset, Terms, bind_sql, draw},
        scheduler::Class,
    },
    Manner, Purpose, Result, Session, Statements, leaves_session_usable, lost, row_with, schema_in,
    schema_of,
};
use crate::{sql::Sql, tenant::Schema};

/// What is asked of each.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// A statement that returns one row of one column, named `tenantry_value`.
    pub(crate) select: SqlStr,
    /// How long it may take, and wait for a lock.
    pub(crate) limit: Duration,
}

/// What was answered: by as many as were asked, or by those before the first that has failed.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The rows, in the order of those who were asked. An error is the library's own: the row is not theirs.
    pub(crate) rows: Vec<Result<PgRow>>,
}

/// How much later than the server the library gives up.
const GRACE: Duration = Duration::from_secs(10);

/// How many tables of each are assumed to be read.
const TABLES: usize = 2;

impl Occupant {
    /// Returns `true` if it can be asked together with others.
    ///
    /// All who are asked together are named in one message, which SQL that one of them has written can read
    /// ([`current_query()`](https://www.postgresql.org/docs/current/functions-info.html)). The names of schemas and
    /// roles are no secret: everybody can read them in `pg_namespace` and `pg_roles`. The values of settings are.
    ///
    /// Where tables of others are behind its own, it has to be known which schema is pinned: otherwise one that is
    /// dropped between the reset and the statement would be missed.
    pub(crate) fn can_be_asked_with_others(&self) -> bool {
        self.class == Class::Pooled
            && self.login.is_none()
            && self.after_bind.is_none()
            && self.binding.settings.is_empty()
            && !self.is_retired()
            && (self.oid().is_some() || !self.is_always_pinned())
    }
}

impl Session {
    /// Asks each of the occupants, in one message.
    ///
    /// Each is bound as [`bind`](Self::bind) does it, by the same thorough reset, and what was prepared with SQL is
    /// deallocated in addition, before its statement runs in a transaction that only reads and is rolled back. What
    /// `bind` finds out before the statement is found out afterwards here: that the same process has answered, and
    /// that the schema is the one that the occupant was made for. The row is withheld where that does not hold.
    ///
    /// The session is bound to nobody afterwards, and [settled](Self::settle) when a statement has failed.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session has to be bound again.
    pub(in super::super) async fn ask_each(
        &mut self,
        occupants: &[Arc<Occupant>],
        question: &Question,
        manner: Manner,
        answers: &mut Answers,
    ) -> Result<()> {
        self.bound = None;
        (self.touched, self.pinned) = (true, false);
        // The server must have none when each part deallocates all.
        self.clear_statements().await?;
        self.statements = Statements::None;
        // The whole message is read as one, under what is set when it arrives.
        let before = "begin; rollback; reset session authorization; reset all; \
                      set standard_conforming_strings to on; set client_encoding to 'UTF8'";
        self.conn.execute(raw_sql(before)).await?;
        let (message, echoes) = self.message(occupants, question, manner);
        let asked = self.read_answers(message, occupants, &echoes, question, answers).await;
        for occupant in &occupants[..occupants.len().min(answers.rows.len() + 1)] {
            if self.wear.served.insert(occupant.serial) {
                self.wear.tables += TABLES;
            }
        }
        if asked.as_ref().is_err_and(leaves_session_usable) {
            self.settle().await?;
        }
        asked
    }

    fn message(
        &self,
        occupants: &[Arc<Occupant>],
        question: &Question,
        manner: Manner,
    ) -> (SqlStr, Vec<i64>) {
        let mut sql = Sql::default();
        let mut echoes = Vec::with_capacity(occupants.len());
        for (place, occupant) in occupants.iter().enumerate() {
            let echo = draw();
            let terms = Terms {
                reset: Reset::Thorough,
                discard_plans: self.odd_plans && place == 0,
                echo,
                checked: self.checks_clients,
                idle_in_transaction: manner.idle_in_transaction,
                upkeep: None,
                look: false,
                pin: Purpose::Statement.pin(occupant),
                name: manner.name_tenants.then_some(&*self.name),
            };
            let bind = bind_sql(occupant, terms);
            sql.text(if place == 0 { "deallocate all; " } else { "; deallocate all; " });
            sql.vouched(&bind, 0..bind.as_str().len());
            // What was set lasts beyond the transaction that the whole message would be otherwise. Reading a
            // constant takes the snapshot, after which the transaction cannot be made one that writes.
            sql.text(
                "; begin; commit; begin read only; select null; set local statement_timeout to ",
            );
            sql.number(millis(question.limit)).text("; set local lock_timeout to ");
            sql.number(millis(question.limit)).text("; ");
            sql.vouched(&question.select, 0..question.select.as_str().len());
            sql.text("; rollback");
            echoes.push(echo);
        }
        (sql.finish(), echoes)
    }

    async fn read_answers(
        &mut self,
        message: SqlStr,
        occupants: &[Arc<Occupant>],
        echoes: &[i64],
        question: &Question,
        answers: &mut Answers,
    ) -> Result<()> {
        let patience = question.limit.saturating_add(GRACE);
        let mut stream = self.conn.fetch_many(raw_sql(message));
        let mut schema = None;
        loop {
            let item = timeout(patience, stream.try_next()).await;
            let late = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
            let Some(item) = item.unwrap_or_else(late)? else { break };
            let Some(row) = item.right() else { continue };
            let place = answers.rows.len();
            let rows = std::slice::from_ref(&row);
            if row_with("tenantry_echo", rows).is_some() {
                // Every one before has answered, and this is the reset of the next.
                if schema.is_some() || echoes.get(place) != Some(&row.try_get(0)?) {
                    return Err(lost("the answer to a reset was lost"));
                }
                self.identity.compare(row.try_get(1)?)?;
                schema = Some(match Purpose::Statement.pin(&occupants[place]) {
                    Pin::AfterDrop => Schema::Missing,
                    Pin::Yes | Pin::No => schema_of(row.try_get(6)?),
                });
            } else if row_with("tenantry_pinned", rows).is_some() {
                schema = schema.map(|_| schema_in(Some(&row))).transpose()?;
            } else if row_with("tenantry_value", rows).is_some() {
                let Some(schema) = schema.take() else {
                    return Err(lost("the answer to a reset was lost"));
                };
                let checked = occupants[place].check(schema);
                answers.rows.push(checked.map(|()| row).map_err(Into::into));
            }
        }
        match answers.rows.len() == occupants.len() {
            true => Ok(()),
            false => Err(lost("the answer to a statement was lost")),
        }
    }
}

/// Returns a time as a setting of the server has it, which is never zero: that would be no limit.
fn millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).clamp(1, most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}
