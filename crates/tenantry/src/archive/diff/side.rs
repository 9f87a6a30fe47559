//! One of two tenants whose rows are compared.

use sqlx::PgConnection;

use crate::{
    clone::{CloneOptions, Content, Copying, Ends, KeyedTable, Plan, in_snapshot_sql, share_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    reading::{read_once, subject_of},
    schema::{SchemaModel, read::Subject},
    sql::Sql,
    tenant::{Ident, TenantId},
};

/// A tenant, and the model of its schema.
pub(in crate::archive) struct Read {
    pub(in crate::archive) fleet: Fleet,
    pub(in crate::archive) subject: Subject,
    pub(in crate::archive) model: SchemaModel,
    /// The search path of its requests.
    pub(in crate::archive) path: Vec<Ident>,
    options: CloneOptions,
}

impl Read {
    pub(in crate::archive) async fn of(
        fleet: &Fleet,
        id: &TenantId,
        options: CloneOptions,
    ) -> Result<Self, Error> {
        let read = async {
            let record = fleet.record(id).await?;
            let fleet = super::super::export::with_schema(fleet, &record)?;
            let site = fleet.site(&record)?;
            let subject = subject_of(&fleet, &site).await?;
            let model = read_once(&fleet, &subject).await?;
            let path = site.occupant.binding.search_path.to_vec();
            Ok(Self { fleet, subject, model, path, options })
        };
        read.await.map_err(|error: Error| error.with_tenant_unless_named(id))
    }

    /// Returns the plan of reading its rows.
    pub(in crate::archive) fn plan(&self) -> Result<Plan, Error> {
        let Subject { schema, role } = &self.subject;
        let plan = Plan::new(&self.model, &self.options, schema, role.as_ref());
        plan.map_err(|wrong| {
            Error::new(ErrorKind::Archive, "planning to read rows").with_source(wrong)
        })
    }

    /// Begins a read-only transaction with one snapshot. Names of objects are read as those of the target.
    pub(in crate::archive) async fn open<'a>(&'a self, to: &'a Subject) -> Result<Side<'a>, Error> {
        self.open_at(to, None).await
    }

    /// Does the same with the snapshot of another transaction of its server.
    pub(in crate::archive) async fn open_at<'a>(
        &'a self,
        to: &'a Subject,
        snapshot: Option<&str>,
    ) -> Result<Side<'a>, Error> {
        // A transaction that is dropped in the middle of a copy ends it.
        let mut tx = self.transaction().await?;
        let mut sql = Sql::default();
        match snapshot {
            Some(snapshot) => share_sql(&mut sql, snapshot),
            None => in_snapshot_sql(&mut sql),
        }
        sql.text("set transaction read only");
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        let plan = self.plan()?;
        self.copying(&plan, to).begin_reading(&mut tx).await?;
        Ok(Side { of: self, to, plan, tx })
    }

    /// Begins a transaction in its database.
    pub(in crate::archive) async fn transaction(&self) -> Result<TenantTransaction, Error> {
        let lease = self.fleet.lease_for(&self.fleet.site_of(&self.subject.schema)).await?;
        TenantTransaction::open(lease).await
    }

    fn copying<'a>(&'a self, plan: &'a Plan, to: &'a Subject) -> Copying<'a> {
        let ends = Ends { from: &self.subject, model: &self.model, to };
        Copying::new(ends, plan, &self.options, None)
    }
}

/// A tenant whose rows are being read.
pub(in crate::archive) struct Side<'a> {
    of: &'a Read,
    to: &'a Subject,
    pub(in crate::archive) plan: Plan,
    tx: TenantTransaction,
}

impl Side<'_> {
    pub(in crate::archive) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    pub(in crate::archive) fn from(&self) -> &Subject {
        &self.of.subject
    }

    pub(in crate::archive) fn to(&self) -> &Subject {
        self.to
    }

    /// Ends the transaction.
    pub(in crate::archive) async fn end(self) {
        // It has changed nothing.
        drop(self.tx.rollback().await);
    }

    pub(super) async fn content(&mut self, table: &KeyedTable) -> Result<Content, Error> {
        let Self { of, to, plan, tx } = self;
        of.copying(plan, to).content(tx, table).await
    }
}

/// Refuses to work with more connections than the budget has room for. The first tenant needs one.
pub(in crate::archive) fn needs_connections(
    one: &Read,
    other: &Read,
    of_other: usize,
) -> Result<(), Error> {
    let servers = [one.fleet.server(), other.fleet.server()];
    let is_same = std::sync::Arc::ptr_eq(servers[0], servers[1]);
    let needed = of_other + usize::from(is_same);
    let places = servers[1].places_for_upkeep();
    if places >= needed {
        return Ok(());
    }
    let attempted = format!(
        "working with the rows of two tenants: it needs {needed} connections, and the manager's budget has room for \
         {places}: increase max_connections"
    );
    Err(Error::new(ErrorKind::Config, attempted))
}
