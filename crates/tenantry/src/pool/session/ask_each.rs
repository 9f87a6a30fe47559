//! Queries one value for each of many occupants, in one round trip.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{Executor, SqlStr, postgres::PgRow, raw_sql};
use tokio::time::Instant;

use super::{
    super::{
        deadline::within,
        manner::Manner,
        occupant::Occupant,
        pin::{self, Pin},
        reset::{Reset, ResetRow, Terms, bind_sql, draw},
        rows::row_with,
        scheduler::Class,
        session_error::{leaves_session_usable, lost},
    },
    Purpose, Result, Session,
};
use crate::{sql::Sql, tenant::Schema};

/// The query for each occupant.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// A statement that returns one row of one column, named `tenantry_value`.
    pub(crate) select: SqlStr,
    /// Its statement timeout and lock timeout.
    pub(crate) limit: Duration,
}

/// The answers: of all occupants, or of those before the first failure.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The rows, in the order of the occupants. An error is the library's own: the row belongs to
    /// another schema.
    pub(crate) rows: Vec<Result<PgRow>>,
}

/// How much longer than the server the library waits.
const GRACE: Duration = Duration::from_secs(10);

/// Assumed number of tables that are read for each.
const TABLES: usize = 2;

impl Occupant {
    /// Returns `true` if it can be queried together with others.
    ///
    /// All occupants of a batch are named in one message, which SQL written by one of them can read
    /// ([`current_query()`](https://www.postgresql.org/docs/current/functions-info.html)). The
    /// names of schemas and roles are not secret: every role can read them in `pg_namespace` and
    /// `pg_roles`. The values of settings are.
    ///
    /// If its search path has tables of other schemas, the pinned schema must be known: otherwise a
    /// drop between the reset and the statement would go unnoticed.
    pub(crate) fn can_be_asked_with_others(&self) -> bool {
        self.class == Class::Pooled
            && self.login().is_none()
            && self.after_bind().is_none()
            && self.binding.settings().is_empty()
            && !self.is_refused()
            && (self.oid().is_some() || !self.is_always_pinned())
    }
}

impl Session {
    /// Queries each of the occupants, in one message.
    ///
    /// Each is bound like [`bind`](Self::bind) does, with the same thorough reset, and statements
    /// prepared with SQL are also deallocated, before its statement runs in a read-only transaction
    /// that is rolled back. The checks that `bind` does before the statement are done afterwards
    /// here: that the same process has answered, and that the schema is the one that the occupant
    /// was created for. Otherwise, the row is withheld.
    ///
    /// The session is unbound afterwards, and [settled](Self::settle) if a statement has failed.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the session has to be bound again.
    pub(in crate::pool) async fn ask_each(
        &mut self,
        occupants: &[Arc<Occupant>],
        question: &Question,
        manner: Manner,
        answers: &mut Answers,
    ) -> Result<()> {
        self.ask_who().await?;
        let now = Instant::now();
        if let Some(unknown) = occupants.iter().find(|occupant| !self.knows_key(occupant, now)) {
            self.bind(unknown, manner, Purpose::Idle).await?;
        }
        self.bound = None;
        self.touched = true;
        // The server must have none, because each part deallocates all.
        self.clear_statements().await?;
        self.statements.belong_to_none();
        // The whole message is parsed at once, under the settings in effect when it arrives.
        let before = "begin; rollback; reset session authorization; reset all; \
                      set standard_conforming_strings to on; set client_encoding to 'UTF8'";
        self.conn.execute(raw_sql(before)).await?;
        let (message, echoes) = self.message(occupants, question, manner);
        let asked = self.read_answers(message, occupants, &echoes, question, answers).await;
        for occupant in &occupants[..occupants.len().min(answers.rows.len() + 1)] {
            self.wear.serve(occupant.serial_of_tables(), TABLES);
        }
        if asked.as_ref().is_err_and(leaves_session_usable) {
            self.settle().await?;
        }
        asked
    }

    /// Returns `true` if it is known which keys were given up, as far as that concerns the occupant.
    fn knows_key(&self, occupant: &Occupant, now: Instant) -> bool {
        let retired = occupant.retired_keys();
        retired.is_none_or(|keys| !self.identity.is_on_standby() && keys.are_known(now))
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
                idle_in_transaction: manner.idle_in_transaction_of(occupant),
                who: false,
                upkeep: None,
                look: false,
                pin: Purpose::Statement.pin(occupant),
                keys: None,
                name: manner.name_tenants.then_some(&*self.name),
                on_replica: false,
            };
            let bind = bind_sql(occupant, terms);
            sql.text(if place == 0 { "deallocate all; " } else { "; deallocate all; " });
            sql.vouched(&bind, 0..bind.as_str().len());
            append(&mut sql, question);
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
        // The schema that the session was in when it was reset for the next occupant.
        let mut schema = None;
        while let Some(item) = within(patience, stream.try_next()).await? {
            let Some(row) = item.right() else { continue };
            let place = answers.rows.len();
            let rows = std::slice::from_ref(&row);
            if let Some(reset) = ResetRow::find(rows) {
                // Every previous one has answered, and this is the reset of the next.
                if schema.is_some() || echoes.get(place) != Some(&reset.echo()?) {
                    return Err(lost("the response to a reset is missing"));
                }
                self.identity.compare(reset.backend()?)?;
                schema = Some(schema_at_reset(&occupants[place], reset)?);
            } else if pin::has_schema(rows) {
                schema = schema.map(|_| pin::schema_in(rows)).transpose()?;
            } else if row_with("tenantry_value", rows).is_some() {
                let Some(schema) = schema.take() else {
                    return Err(lost("the response to a reset is missing"));
                };
                let checked = occupants[place].check(schema);
                let checked = checked.and_then(|()| occupants[place].check_key());
                answers.rows.push(checked.map(|()| row).map_err(Into::into));
            }
        }
        match answers.rows.len() == occupants.len() {
            true => Ok(()),
            false => Err(lost("the response to a statement is missing")),
        }
    }
}

/// Appends a read-only transaction with the query. Settings must outlast the transaction that the
/// whole message would otherwise be. Reading a constant takes the snapshot, after which the
/// transaction can no longer be made read-write.
fn append(sql: &mut Sql, question: &Question) {
    let limit = millis(question.limit);
    sql.text("; begin; commit; begin read only; select null; set local statement_timeout to ");
    sql.number(limit).text("; set local lock_timeout to ").number(limit).text("; ");
    sql.vouched(&question.select, 0..question.select.as_str().len());
    sql.text("; rollback");
}

/// Returns the schema of an occupant as the reset has found it. Where it has to be pinned, it counts
/// as missing until the row of the pin arrives.
fn schema_at_reset(occupant: &Occupant, reset: ResetRow<'_>) -> Result<Schema> {
    match Purpose::Statement.pin(occupant) {
        Pin::AfterDrop => Ok(Schema::Missing),
        Pin::Yes | Pin::No => reset.schema(),
    }
}

/// Formats a duration as a server setting, never zero, which would mean no limit.
fn millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).clamp(1, most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}
