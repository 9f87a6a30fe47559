//! Begins to log changes of rows, and slows them down.

use std::time::Duration;

use super::{RowsAt, log::ChangeLog, tree};
use crate::{
    error::{Error, ErrorKind},
    provision::in_a_moment,
    sql::Sql,
};

impl RowsAt<'_> {
    /// Begins to log the keys of rows that change. From then on, every change that a later snapshot does not show is
    /// logged: a lock waits for transactions that have written before.
    pub(crate) async fn begin_log(&self, to: RowsAt<'_>, log: ChangeLog<'_>) -> Result<(), Error> {
        log.end(self.fleet).await?;
        let reasons = self.why_not_logged(Some(to)).await?;
        if !reasons.is_empty() {
            return Err(Error::new(ErrorKind::Move, reasons.join("; ")));
        }
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        let keyed: Vec<_> = tables.iter().zip(&keys).collect();
        log.create(&mut lease, &keyed).await?;
        let of = (&**self.of()?, self.are_shared);
        for table in &tables {
            let mut sql = Sql::default();
            sql.sql(log.guard).text("; ");
            log.triggers(&mut sql, self.site, table, of);
            let attempted = format!("creating triggers of table {}", table.name);
            let of = (self.site.schema.as_str(), &*table.name);
            in_a_moment(&mut lease, of, sql, &attempted).await?;
        }
        tree::record(&mut lease, (&tables, &keys), log).await?;
        lease.settle().await;
        Ok(())
    }

    /// Has each change of a row take longer by this time on average, to the microsecond. Transactions of other tenants do
    /// not.
    pub(crate) async fn slow_down(&self, log: ChangeLog<'_>, pause: Duration) -> Result<(), Error> {
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        let mut sql = Sql::new("begin; ");
        sql.sql(log.guard).text("; ");
        for (table, key) in tables.iter().zip(&keys) {
            sql.text("create or replace function ");
            log.write_function(&mut sql, table, key, pause);
        }
        sql.text("commit");
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        lease.settle().await;
        Ok(())
    }
}
