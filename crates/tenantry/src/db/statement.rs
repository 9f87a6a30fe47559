use sqlx::{
    Arguments, Execute, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgStatement},
};

use super::{
    behind_pooler::{may_be_several, objection},
    effect::{Protocol, Reading, read},
    only_reads::{Reads, reads},
};
use crate::{
    error::{Error, ErrorKind},
    pool::{Effect, Lease},
};

/// The protocol's limit.
const MOST_PARAMETERS: usize = u16::MAX as usize;

/// A query split into its parts, so that it can be run again.
#[derive(Clone)]
pub(super) struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
    reading: Reading,
}

impl Statement {
    pub(super) fn take<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        if let Some(count) = arguments.as_ref().map(PgArguments::len)
            && count > MOST_PARAMETERS
        {
            return Err(sqlx::Error::InvalidArgument(format!(
                "{count} bind parameters, but a statement can have at most {MOST_PARAMETERS}: pass a column \
                 of many rows as one array, with unnest($1::text[])"
            )));
        }
        let persistent = query.persistent();
        let sql = query.sql();
        let reading = read(sql.as_str(), protocol(arguments.as_ref()));
        Ok(Self { sql, arguments, persistent, reading })
    }

    /// Returns the statement in the form in which it can run on a lease.
    ///
    /// Where the lease is a transaction, it is sent without a name, because the next transaction may have
    /// another session. A text that may be several statements is sent in the extended protocol, which allows
    /// only one: another one could end the transaction.
    ///
    /// # Errors
    ///
    /// [`BehindPooler`](ErrorKind::BehindPooler) if it cannot run there.
    pub(super) fn fit_for(mut self, lease: &Lease) -> sqlx::Result<Self> {
        if !lease.is_fleeting() {
            return Ok(self);
        }
        if let Some(why) = objection(self.sql.as_str()) {
            let error = Error::new(ErrorKind::BehindPooler, why);
            return Err(lease.occupant().name(error).into());
        }
        self.persistent = false;
        if self.arguments.is_none() && may_be_several(self.sql.as_str()) {
            self.arguments = Some(PgArguments::default());
        }
        Ok(self)
    }

    /// Returns `true` if it may run again after its prepared statement no longer matched.
    pub(super) fn is_repeatable(&self) -> bool {
        self.reading.repeatable
    }

    /// Returns how a handle for reading runs it.
    pub(super) fn reads(&self) -> Reads {
        reads(self.sql.as_str(), protocol(self.arguments.as_ref()))
    }

    /// Returns `true` if it may change functions or tables.
    pub(super) fn changes_schema(&self) -> bool {
        self.reading.changes_schema
    }

    pub(super) fn text(&self) -> SqlStr {
        self.sql.clone()
    }

    pub(super) fn effect(&self) -> Effect {
        self.reading.effect
    }
}

fn protocol(arguments: Option<&PgArguments>) -> Protocol {
    if arguments.is_some() { Protocol::Extended } else { Protocol::Simple }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    /// Always `None`: the column metadata of a statement prepared elsewhere may be that of another
    /// tenant. Describing it again costs no extra round trip.
    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
