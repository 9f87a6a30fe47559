//! Clones a tenant atomically: its schema with all contents, and its row in the catalog.

use std::sync::Arc;

use futures_util::future::try_join_all;
use sqlx::{PgConnection, Row};
use tokio::time::Instant;

use super::{
    CreateOptions, Provisioner,
    answer::taken,
    commit::roll_back,
    distributed::{distribute, keep_plain},
    made::limit_locks,
    new_tenant::New,
    provisional,
    step::refuse_unfinished,
    written::rename_sql,
};
use crate::{
    catalog::{Site, refuse_moving},
    citus::Sharding,
    clone::{
        CloneOptions, CloneReport, Copied, Copying, Ends, Masking, Plan, Source, in_snapshot_sql,
    },
    db::TenantTransaction,
    error::{Error, ErrorKind, OptionsError},
    fleet::Fleet,
    migrate::Attempts,
    pool::{Lease, grant},
    reading::{read_once, subject_of},
    schema::{SchemaModel, read::Subject},
    sql::Sql,
    tenant::{IsolationKind, ParseTenantIdError, TenantId, TenantRecord},
};

impl Provisioner {
    /// Clones a tenant: every object of its schema, its migration records, its rows if
    /// [requested](CloneOptions::data), and its row in a catalog that has rows. The clone is served as soon as this
    /// returns.
    ///
    /// Everything happens in one transaction with one snapshot of the source, so a clone that fails, is cancelled or
    /// is killed leaves nothing behind. Afterwards the clone has the same [fingerprint](crate::schema::Fingerprint)
    /// as the source, and nothing in it depends on the source. Names are the same, sequences continue at the source's
    /// values, and materialized views that are populated in the source are populated in the clone. The provisioner's
    /// migrations and seeds are not run.
    ///
    /// The source can be read and written meanwhile; its tables cannot be altered. Suspended tenants can be cloned.
    ///
    /// A tenant that is [isolated by row](crate::Isolation::row) gets a clone in the same tables, with another
    /// [key](CloneOptions::key), and with the same ids where unique keys contain the tenant column. Triggers of the
    /// tables fire, and the rows are compared afterwards. Masks, filters, limits and excluded tables mean the same as
    /// for a schema, need two connections at a time, and twice the space of the rows on the server; rows are masked
    /// before they reach the tables of all tenants. A clone is refused if a foreign key without the tenant column would
    /// make copied rows refer to those of the source, if unique values are taken, and if a rule masks the tenant column.
    ///
    /// No superuser is needed. The manager's role must be able to read the source's rows, and must be a member of the
    /// roles that own its objects. If row-level security would hide rows from it, the clone fails.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant) if the source does not exist.
    /// [`TenantExists`](ErrorKind::TenantExists) and [`NameInUse`](ErrorKind::NameInUse) as for
    /// [`create`](Self::create). [`Config`](ErrorKind::Config) if the options name a table that the source does not
    /// have (with an [`OptionsError`] as the source), the source has its own role and the clone has none, masks do
    /// not fit the schema (with [`WrongRules`](crate::anonymize::WrongRules) as the source), or a column looks
    /// personal and has no rule. [`Busy`](ErrorKind::Busy) if the source is being moved, or was altered meanwhile; try again.
    /// [`Clone`](ErrorKind::Clone) if the clone would differ from the source, depend on it, or contain a masked
    /// value. [`PermissionDenied`](ErrorKind::PermissionDenied) if the manager's role lacks a privilege. Otherwise
    /// the server's error, with the table or the statement.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the clone is either complete or does not exist.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::clone::CloneOptions;
    ///
    /// let options = CloneOptions::default().data(true);
    /// let report = manager.provisioner().clone_tenant("acme", "acme-staging", options).await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub async fn clone_tenant<F, T>(
        &self,
        from: F,
        to: T,
        options: CloneOptions,
    ) -> Result<CloneReport, Error>
    where
        F: TryInto<TenantId>,
        F::Error: Into<ParseTenantIdError>,
        T: TryInto<TenantId>,
        T::Error: Into<ParseTenantIdError>,
    {
        self.clone_from(&self.fleet, from, to, &options).await
    }

    /// Clones a tenant of another manager, possibly on another server. The rows pass through this process.
    ///
    /// If another major version of PostgreSQL describes the source's objects in different words, the tenant is cloned
    /// nevertheless, and the report lists these differences.
    ///
    /// # Errors
    ///
    /// As [`clone_tenant`](Self::clone_tenant).
    ///
    /// # Cancel safety
    ///
    /// If dropped, the clone is either complete or does not exist.
    pub async fn clone_tenant_from<F, T>(
        &self,
        source: &Self,
        from: F,
        to: T,
        options: CloneOptions,
    ) -> Result<CloneReport, Error>
    where
        F: TryInto<TenantId>,
        F::Error: Into<ParseTenantIdError>,
        T: TryInto<TenantId>,
        T::Error: Into<ParseTenantIdError>,
    {
        self.clone_from(&source.fleet, from, to, &options).await
    }

    async fn clone_from<F, T>(
        &self,
        source: &Fleet,
        from: F,
        to: T,
        options: &CloneOptions,
    ) -> Result<CloneReport, Error>
    where
        F: TryInto<TenantId>,
        F::Error: Into<ParseTenantIdError>,
        T: TryInto<TenantId>,
        T::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let from = from.try_into().map_err(Into::into)?;
        let to = to.try_into().map_err(Into::into)?;
        let found = Found::find(source, &from).await.map_err(|error| error.with_tenant(&from))?;
        // A separate boxed future, to keep the callers' futures small.
        let cloned = match &found {
            Found::Schema(source) => Box::pin(self.clone_now(source, &to, options)).await,
            Found::Rows(record) => Box::pin(self.clone_rows_of(source, record, &to, options)).await,
        };
        let outcome = if cloned.is_ok() { "clone" } else { "failed" };
        self.fleet.server().observer.meters.created(outcome, began.elapsed());
        // A negative cache entry may exist from before.
        self.fleet.forget(&to);
        let (schema, copied) = cloned.map_err(|error| error.with_tenant(&to))?;
        let Copied { objects, tables, anonymized, remarks } = copied;
        Ok(CloneReport {
            source_tenant_id: from,
            tenant_id: to,
            schema,
            objects,
            tables,
            anonymized,
            remarks,
            duration: began.elapsed(),
        })
    }

    /// Returns the options of creating the clone's tenant. It gets a schema, as its source has.
    fn create_options(&self, options: &CloneOptions) -> CreateOptions {
        let not_by_default = self.fleet.is_in_rows_by_default();
        CreateOptions {
            isolation: not_by_default.then_some(IsolationKind::Schema),
            container: options.container.clone(),
            attributes: options.attributes.clone(),
            role: options.role.clone(),
            lock_timeout: options.lock_timeout,
            ..CreateOptions::default()
        }
    }

    /// Clones a tenant whose rows are in tables of all tenants.
    async fn clone_rows_of(
        &self,
        source: &Fleet,
        from: &TenantRecord,
        to: &TenantId,
        options: &CloneOptions,
    ) -> Result<(Arc<str>, Copied), Error> {
        if Arc::ptr_eq(source.server(), self.fleet.server()) {
            return self.clone_rows(from, to, options).await;
        }
        let attempted = "the source is isolated by row, and its rows are copied within the tables of one manager: read \
                         them there, and insert them here as this tenant";
        Err(Error::new(ErrorKind::Placement, attempted))
    }

    /// Returns the key of a clone with a schema, unless that is its id: the rows of the copy have the key of the source.
    fn key_of_copy(
        &self,
        source: &Origin<'_>,
        to: &TenantId,
        options: &CloneOptions,
    ) -> Result<Option<Arc<str>>, Error> {
        if !self.fleet.lookup().isolations().has_rows() {
            return Ok(None);
        }
        let key = match (&source.key, &options.key) {
            (Some(key), Some(asked)) if options.data && key != asked => {
                let attempted = format!(
                    "cloning a tenant with its rows: they have the key {key}, which the clone keeps, and not {asked}: \
                     leave CloneOptions::key out"
                );
                return Err(Error::new(ErrorKind::Config, attempted));
            }
            (Some(key), _) if options.data => Some(key),
            (_, asked) => asked.as_ref(),
        };
        Ok(key.filter(|key| ***key != *to.as_str()).cloned())
    }

    async fn clone_now(
        &self,
        source: &Origin<'_>,
        to: &TenantId,
        options: &CloneOptions,
    ) -> Result<(Arc<str>, Copied), Error> {
        // Removes what a killed clone has left.
        self.remove_left_behind().await?;
        let key = self.key_of_copy(source, to, options)?;
        let create = CreateOptions { key, ..self.create_options(options) };
        let record = self.record_of_new(to, &create).await?;
        refuse_rows(&self.fleet, &record)?;
        let site = self.fleet.site(&record)?;
        self.refuse_name_in_use(&site.schema).await?;
        let role = self.fleet.role_of(&site).await?;
        self.refuse_missing_role(role.as_ref()).await?;
        let (record, role, create) = (&record, role.as_ref(), &create);
        let new =
            New { provisioner: self, record, site: &site, role, options: create, archived: None };
        match new.clone_with_retries(source, options).await {
            Ok(copied) => Ok((site.schema.as_str().into(), copied)),
            Err(error) => Err(self.name_missing_right(error).await),
        }
    }
}

/// Refuses to copy a schema to a tenant whose rows are in tables of all tenants.
fn refuse_rows(fleet: &Fleet, record: &TenantRecord) -> Result<(), Error> {
    if !fleet.is_in_rows(record) {
        return Ok(());
    }
    let attempted = "the source has a schema, and this tenant is isolated by row: create it, read the source's rows, and \
                     insert them as this tenant";
    Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
}

/// The tenant that is cloned, however it is isolated.
enum Found<'a> {
    Schema(Box<Origin<'a>>),
    Rows(Box<TenantRecord>),
}

impl<'a> Found<'a> {
    async fn find(fleet: &'a Fleet, id: &TenantId) -> Result<Self, Error> {
        let record = fleet.record(id).await?;
        refuse_unfinished(&record)?;
        refuse_moving(id, record.state)?;
        if fleet.is_in_rows(&record) {
            return Ok(Self::Rows(Box::new(record)));
        }
        Origin::of(fleet, &record).await.map(Box::new).map(Self::Schema)
    }
}

/// The tenant that is cloned.
struct Origin<'a> {
    fleet: &'a Fleet,
    site: Site,
    subject: Subject,
    /// The key of its sessions, if rows were configured.
    key: Option<Arc<str>>,
}

impl<'a> Origin<'a> {
    async fn of(fleet: &'a Fleet, record: &TenantRecord) -> Result<Self, Error> {
        let site = fleet.site(record)?;
        let subject = subject_of(fleet, &site).await?;
        let key = fleet.lookup().isolations().key(record).map(|key| key.value);
        Ok(Self { fleet, site, subject, key })
    }

    /// Begins a transaction with one snapshot of the source. Names of the source are printed with their schema.
    async fn open(&self) -> Result<TenantTransaction, Error> {
        let lease = self.fleet.lease_for(&self.fleet.site_of(&self.site.schema)).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        let mut sql = Sql::default();
        in_snapshot_sql(&mut sql);
        sql.text("set local search_path to pg_catalog");
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        Ok(tx)
    }

    fn source<'c>(&'c self, reader: &'c mut TenantTransaction) -> Source<'c> {
        Source { conn: reader, path: &self.site.occupant.binding.search_path }
    }

    async fn read(&self) -> Result<SchemaModel, Error> {
        read_once(self.fleet, &self.subject).await
    }
}

fn wrong(wrong: OptionsError) -> Error {
    Error::new(ErrorKind::Config, "checking the options of the clone").with_source(wrong)
}

/// Refuses to clone a tenant with a role into one without: privileges and ownership would get lost.
fn refuse_missing_role(source: &Origin<'_>, to: &Subject) -> Result<(), Error> {
    if source.subject.role.is_none() || to.role.is_some() {
        return Ok(());
    }
    let attempted = "the source has its own role, which owns or uses its objects: name one for the clone with \
                     CloneOptions::role";
    Err(Error::new(ErrorKind::Config, attempted))
}

fn masked(mut plan: Plan, masking: Option<&Masking>) -> Plan {
    if let Some(masking) = masking {
        plan.mask(&masking.plan);
    }
    plan
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the session that creates the clone was lost")
}

impl New<'_> {
    /// Creates the tenant as a copy, and retries after collisions with other transactions.
    async fn clone_with_retries(
        &self,
        source: &Origin<'_>,
        options: &CloneOptions,
    ) -> Result<Copied, Error> {
        let mut attempts = Attempts::default();
        loop {
            let cloned = self.clone_of(source, options).await;
            if !attempts.go_on_after(&cloned).await {
                return cloned;
            }
        }
    }

    /// Creates the tenant as a copy: in one transaction, or in steps.
    async fn clone_of(&self, source: &Origin<'_>, options: &CloneOptions) -> Result<Copied, Error> {
        let to = subject_of(&self.provisioner.fleet, self.site).await?;
        refuse_missing_role(source, &to)?;
        let model = source.read().await?;
        let plan_for = |schema| Plan::new(&model, options, schema, to.role.as_ref()).map_err(wrong);
        let plan = plan_for(&to.schema)?;
        let masking = options.anonymize.as_ref().map(|rules| Masking::new(rules, &model));
        let masking = masking.transpose()?;
        let plan = masked(plan, masking.as_ref());
        let ends = Ends { from: &source.subject, model: &model, to: &to };
        if masking.is_some() && self.provisioner.fleet.server().places_for_upkeep() < 2 {
            let attempted =
                "anonymizing: it needs two connections, and the manager's budget has room for one";
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let citus = self.provisioner.fleet.find_citus().await?;
        // A snapshot that connections of the coordinator share is none of the workers, which hold the rows.
        let shares_snapshots = !citus.is_some_and(|citus| citus.distributes_schemas());
        let needs_steps = options.connections > 1 && options.data && shares_snapshots;
        if needs_steps || plan.locks() > self.room_for_locks().await? {
            let other = Subject { schema: provisional::new_name(), role: to.role.clone() };
            let plan = masked(plan_for(&other.schema)?, masking.as_ref());
            let ends = Ends { to: &other, ..ends };
            let copying = Copying::new(ends, &plan, options, masking);
            return self.clone_in_steps(source, copying, ends, options).await;
        }
        self.clone_at_once(source, Copying::new(ends, &plan, options, masking), options).await
    }

    async fn clone_at_once(
        &self,
        source: &Origin<'_>,
        copying: Copying<'_>,
        options: &CloneOptions,
    ) -> Result<Copied, Error> {
        let is_within = self.is_within(source);
        // Known from then on: a transaction with a snapshot must not begin with this question.
        self.provisioner.fleet.find_citus().await?;
        let mut tx = self.begin().await?;
        keep_plain(&self.provisioner.fleet, &mut tx).await?;
        let copied = match is_within && options.anonymize.is_none() {
            true => self.copy_within(copying, &mut tx, options).await,
            false => self.copy_across(copying, source, &mut tx, is_within).await,
        };
        match copied {
            Ok(copied) => self.provisioner.commit(tx).await.map(|()| copied),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Returns `true` if the source is on the same server.
    fn is_within(&self, source: &Origin<'_>) -> bool {
        Arc::ptr_eq(source.fleet.server(), self.provisioner.fleet.server())
    }

    async fn copy_within(
        &self,
        copying: Copying<'_>,
        tx: &mut TenantTransaction,
        options: &CloneOptions,
    ) -> Result<Copied, Error> {
        if options.data {
            let mut sql = Sql::default();
            in_snapshot_sql(&mut sql);
            sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        }
        let copied = copying.within(tx).await?;
        if options.data && self.provisioner.fleet.server().places_for_upkeep() > 1 {
            // This transaction does not see names that were retired after it began; another one does.
            self.provisioner.refuse_name_in_use(&self.site.schema).await?;
        }
        self.end(tx).await?;
        Ok(copied)
    }

    async fn copy_across(
        &self,
        copying: Copying<'_>,
        origin: &Origin<'_>,
        tx: &mut TenantTransaction,
        is_within: bool,
    ) -> Result<Copied, Error> {
        let mut reader = origin.open().await?;
        let copied = copying.across(&mut origin.source(&mut reader), tx, is_within).await;
        drop(reader.rollback().await);
        let copied = copied?;
        if is_within && self.provisioner.fleet.server().places_for_upkeep() > 1 {
            self.provisioner.refuse_name_in_use(&self.site.schema).await?;
        }
        self.end(tx).await?;
        Ok(copied)
    }

    /// Returns the maximum number of locks for one transaction: half of the server's lock table.
    async fn room_for_locks(&self) -> Result<u64, Error> {
        let mut lease = self.provisioner.fleet.lease().await?;
        let room = "select pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 \
                    operator(pg_catalog.*) (pg_catalog.current_setting('max_connections')::pg_catalog.int8 \
                    operator(pg_catalog.+) pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8)";
        let room: i64 = sqlx::raw_sql(room).fetch_one(&mut *lease).await?.try_get(0)?;
        Ok(u64::try_from(room).unwrap_or_default() / 2)
    }

    /// Creates the copy under a provisional name, in many transactions, and renames it at the end.
    async fn clone_in_steps(
        &self,
        source: &Origin<'_>,
        copying: Copying<'_>,
        ends: Ends<'_>,
        options: &CloneOptions,
    ) -> Result<Copied, Error> {
        let Self { provisioner, .. } = self;
        let other = provisioner.fleet.site_of(&ends.to.schema);
        let lease = provisioner.hold_new(&other, None, Sharding::Plain).await?;
        let mut lease = Some(lease);
        let made = self.make_in_steps(source, copying, ends, options, &mut lease).await;
        if made.is_err() {
            provisioner.give_up(lease, &ends.to.schema, false).await;
        }
        made
    }

    /// The lease holds the lock of the schema, which is released once the copy is complete.
    async fn make_in_steps(
        &self,
        source: &Origin<'_>,
        mut copying: Copying<'_>,
        ends: Ends<'_>,
        options: &CloneOptions,
        held: &mut Option<Lease>,
    ) -> Result<Copied, Error> {
        let is_within = self.is_within(source);
        let Some(lease) = held.as_mut() else { return Err(lost()) };
        copying.structure_in_steps(lease).await?;
        let mut reader = match options.data || !is_within {
            true => Some(source.open().await?),
            false => None,
        };
        match &mut reader {
            None => copying.records_in_steps(lease).await?,
            Some(reader) => {
                let mut more = self.more_writers(options, is_within).await?;
                let writers = std::iter::once(&mut *lease).chain(&mut more).collect();
                copying.rows_in_steps(&mut source.source(reader), writers, is_within).await?;
            }
        }
        copying.finish_in_steps(lease, reader.as_deref_mut(), is_within).await?;
        let Some(lease) = held.take() else { return Err(lost()) };
        let mut tx = TenantTransaction::open(lease).await?;
        let elsewhere = reader.as_mut().filter(|_| !is_within).map(|reader| &mut **reader);
        match self.name_copy(copying, &mut tx, elsewhere, ends).await {
            Ok(copied) => {
                drop(reader);
                self.provisioner.commit(tx).await.map(|()| copied)
            }
            Err(error) => {
                *held = tx.back_out().await;
                Err(error)
            }
        }
    }

    /// Returns leases that write rows in addition to the first one, as far as the options and the budget allow.
    async fn more_writers(
        &self,
        options: &CloneOptions,
        is_within: bool,
    ) -> Result<Vec<Lease>, Error> {
        let fleet = &self.provisioner.fleet;
        let places = fleet.server().places_for_upkeep().saturating_sub(2);
        let more = if is_within { options.connections.saturating_sub(1) } else { 0 };
        try_join_all((0..more.min(places)).map(|_| fleet.lease())).await
    }

    /// Renames the complete copy to the tenant's name, checks it, and writes the catalog.
    async fn name_copy(
        &self,
        copying: Copying<'_>,
        tx: &mut TenantTransaction,
        elsewhere: Option<&mut PgConnection>,
        ends: Ends<'_>,
    ) -> Result<Copied, Error> {
        let schema = &self.site.schema;
        let mut sql = Sql::default();
        limit_locks(&mut sql, self.options);
        rename_sql(&mut sql, &ends.to.schema, schema);
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await.map_err(taken)?;
        self.look_here(tx).await?;
        let named = Subject { schema: schema.clone(), role: ends.to.role.clone() };
        let copied = copying.end_in_steps(tx, elsewhere, &named).await?;
        self.end(tx).await?;
        Ok(copied)
    }

    /// Grants the clone's role its privileges, distributes the clone, and writes to the catalog.
    async fn end(&self, tx: &mut TenantTransaction) -> Result<(), Error> {
        if let Some(role) = self.role {
            let mut sql = Sql::default();
            grant(&mut sql, &self.site.schema, role);
            sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        }
        distribute(&self.provisioner.fleet, tx, &self.site.schema).await?;
        self.list(tx).await
    }
}
