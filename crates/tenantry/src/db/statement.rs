use sqlx::{
    Execute, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgStatement},
};

use super::effect::{Protocol, effect_of};
use crate::pool::Effect;

/// A query taken apart, so that it can be run again.
#[derive(Clone)]
pub(super) struct Statement {
    sql: SqlStr,
    prepared: Option<PgStatement>,
    arguments: Option<PgArguments>,
    persistent: bool,
    effect: Effect,
}

impl Statement {
    pub(super) fn take<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        let prepared = query.statement().cloned();
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent();
        let sql = query.sql();
        let protocol = if arguments.is_some() { Protocol::Extended } else { Protocol::Simple };
        let effect = effect_of(sql.as_str(), protocol);
        Ok(Self { sql, prepared, arguments, persistent, effect })
    }

    /// Says whether it may be run again after it has failed on a statement that did not fit.
    ///
    /// Only what touches data alone: a procedure, a `do` block or a string of several statements may
    /// have committed a part of its work before it failed.
    pub(super) fn is_repeatable(&self) -> bool {
        self.effect == Effect::OnData && self.arguments.is_some()
    }

    pub(super) fn effect(&self) -> Effect {
        self.effect
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
