//! Copies rows from temporary tables of one session to those of another, masked or in part.
//!
//! The rows of a tenant that shares its tables with others are collected there: both sessions have a temporary table
//! for each of these tables, with its name. The unmasked rows never reach the session that writes.

use sqlx::PgConnection;

use super::{
    CloneStage, Copied, Copying, Source, copy::restore, error::failed, settings::set_up,
    shared::Shared,
};
use crate::error::Error;

impl<'a> Copying<'a> {
    /// Copies the rows that are collected in the temporary tables of the reading session to those of the writing one,
    /// and proves the masks. Both read from one snapshot.
    pub(crate) async fn between_sessions(
        mut self,
        shared: &'a Shared,
        source: &mut Source<'_>,
        writer: &mut PgConnection,
    ) -> Result<Copied, Error> {
        self.shared = Some(shared);
        set_up(source.conn, self.options.lock_timeout).await?;
        let before = set_up(writer, self.options.lock_timeout).await?;
        // Masks that read the tables of all tenants by a qualified name see what policies show of them.
        let apply = sqlx::raw_sql("set local row_security to on").execute(&mut *source.conn).await;
        apply.map_err(|error| failed("setting up a session".into(), error))?;
        self.suspect(source.conn).await?;
        self.try_out(writer).await?;
        self.counter.begin(CloneStage::Rows);
        let subset = self.choose(source).await?;
        for table in &self.plan.tables {
            self.stream(source, writer, table, subset.of(table)).await?;
        }
        // Policies may apply to the tables of all tenants, where changed rows are compared.
        let apply = sqlx::raw_sql("set local row_security to on").execute(&mut *writer).await;
        apply.map_err(|error| failed("setting up a session".into(), error))?;
        self.prove(source.conn, writer, true).await?;
        self.counter.begin(CloneStage::Check);
        restore(writer, &before).await?;
        Ok(self.copied())
    }
}
