//! Turns the tables of a single-customer service into those of its first tenant, and back.

mod keys;
mod options;
mod report;
mod schema;

use sqlx::PgConnection;
use tokio::time::Instant;

pub use options::Adopt;
pub use report::AdoptReport;

use self::schema::{Facts, create_like, extensions, move_extension, move_objects};
use super::{
    NameOutcome, Provisioner, StoredName,
    answer::taken,
    commit::roll_back,
    inventory, retired,
    states::lock,
    written::{Renamed, by_tokens, follow, refuse, rename_sql},
};
use crate::{
    catalog::{CatalogChange, Site},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::set_limits,
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId, TenantRecord},
};

impl Provisioner {
    /// Turns an existing schema into that of a new tenant, with its data, grants and migration records: the path from
    /// a service with one customer to one with many.
    ///
    /// In one transaction, the schema is renamed to the tenant's name. An empty schema with the same owner, grants
    /// and comment replaces `public`, or the manager's shared schema; extensions, the tables [named as
    /// shared](Adopt::keep_shared) and Tenantry's own tables are moved into it. The `search_path` of functions is
    /// changed, and the tenant's row is written. Tables are not copied, so it takes a moment regardless of their
    /// size.
    ///
    /// A schema that [already has the tenant's name](Adopt::in_place) is only added to the catalog. To record
    /// migrations that another tool has run in it, use
    /// [`TenantMigrator::baseline`](crate::migrate::TenantMigrator::baseline).
    ///
    /// Stop the service first: a program that keeps looking up tables in the old schema no longer finds them. Do a
    /// [dry run](Adopt::dry_run) before; [`release`](Self::release) undoes the change.
    ///
    /// # Errors
    ///
    /// [`TenantExists`](ErrorKind::TenantExists) if the tenant or its schema exists;
    /// [`StoredName`](ErrorKind::StoredName) if something stores the old name as text and cannot be changed;
    /// [`Catalog`](ErrorKind::Catalog) if the catalog's list of tenants is
    /// [read-only](crate::catalog::Catalog::lists_new); [`Placement`](ErrorKind::Placement) if the schema does not
    /// exist or belongs to another tenant or to the server, if a shared table does not exist, or if an extension
    /// cannot be moved; [`Busy`](ErrorKind::Busy) if a migration of the schema is in progress;
    /// [`LockNotAvailable`](ErrorKind::LockNotAvailable) if a table is in use for longer than the lock timeout;
    /// [`Database`](ErrorKind::Database) if the role lacks privileges: it must own the schema and the objects to be
    /// moved. After an error, nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// If dropped, either everything is done or nothing.
    pub async fn adopt<I>(&self, id: I, options: Adopt) -> Result<AdoptReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        let record = TenantRecord::new(id.clone()).attributes(options.attributes.clone());
        let record = TenantRecord { key: options.key.clone(), ..record };
        let adopted = self.adopt_as(&record, &options).await;
        self.fleet.forget(&id);
        let report = adopted.map_err(|error| error.with_tenant_unless_named(&id))?;
        Ok(AdoptReport { duration: began.elapsed(), ..report })
    }

    async fn adopt_as(&self, record: &TenantRecord, options: &Adopt) -> Result<AdoptReport, Error> {
        self.refuse_list_of_others("adopting")?;
        let site = self.fleet.site(record)?;
        let from = source(options, &site.schema)?;
        self.refuse_known_tenant(&record.id).await?;
        self.refuse_schema_of_a_tenant(&from).await?;
        self.refuse_name_in_use(&site.schema).await?;
        let _forget = self.fleet.forget_after(vec![record.id.clone()]);
        let mut tx = self.begin_shared().await?;
        let mut report = empty_report(record, &from, &site.schema, options);
        let done = async {
            limit(&mut tx, options).await?;
            lock(&mut tx, &from).await?;
            self.take(&mut tx, &from, &site, options, &mut report).await?;
            let isolations = self.fleet.lookup().isolations();
            if let Some(key) = isolations.key(record) {
                let column = isolations.rows().key_column();
                let others = keys::of_others(&mut tx, &site.schema, column, &key.value).await?;
                report.blockers.extend(others);
            }
            let is_to_be_done = self.is_to_be_done(&report, options)?;
            if is_to_be_done {
                self.claim_name(&mut tx, &site.schema).await?;
                self.fleet.write(&mut tx, CatalogChange::Created(record)).await?;
            }
            Ok(is_to_be_done)
        };
        let done = done.await;
        if !end(tx, done).await? {
            return Ok(report);
        }
        self.fleet.note_change(&self.fleet.shared_site());
        Ok(report)
    }

    /// Refuses a catalog that cannot list new tenants: the schema would be renamed, but no tenant added or removed.
    fn refuse_list_of_others(&self, doing: &str) -> Result<(), Error> {
        if self.fleet.lookup().lists_new() {
            return Ok(());
        }
        let attempted = format!(
            "{doing} a schema: the list of tenants is read-only; change the row at its source, and name the schema \
             there"
        );
        Err(Error::new(ErrorKind::Catalog, attempted))
    }

    /// Renames a schema to the tenant's name, and moves shared objects into another one.
    async fn take(
        &self,
        conn: &mut PgConnection,
        from: &Ident,
        site: &Site,
        options: &Adopt,
        report: &mut AdoptReport,
    ) -> Result<(), Error> {
        let shared = self.fleet.shared_site().schema;
        let Some(facts) = Facts::read(conn, from).await? else {
            let attempted = format!("adopting a schema: there is no schema {from}");
            return Err(Error::new(ErrorKind::Placement, attempted));
        };
        if *from == site.schema {
            let moved = move_objects(conn, from, &shared, &options.shared, false).await?;
            report.moved = moved.moved;
            report.blockers.extend(moved.missing);
            return read_objects(conn, from, report).await;
        }
        let mut sql = Sql::default();
        rename_sql(&mut sql, from, &site.schema);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await.map_err(taken)?;
        if *from == shared || from.as_str() == "public" {
            create_like(conn, &facts, from, &site.schema).await?;
        }
        self.move_extensions(conn, &site.schema, &shared, report).await?;
        let of_library = *from == shared;
        let moved = move_objects(conn, &site.schema, &shared, &options.shared, of_library).await?;
        report.moved = moved.moved;
        report.blockers.extend(moved.missing);
        let is_split = !report.moved.is_empty() || !report.extensions.is_empty();
        let beside = is_split.then_some(&shared);
        follow_into(conn, Renamed { from, to: &site.schema, beside }, report).await?;
        read_objects(conn, &site.schema, report).await
    }

    /// Moves the extensions of a schema to the shared one.
    async fn move_extensions(
        &self,
        conn: &mut PgConnection,
        from: &Ident,
        shared: &Ident,
        report: &mut AdoptReport,
    ) -> Result<(), Error> {
        for (extension, is_movable) in extensions(conn, from).await? {
            if !is_movable {
                report.blockers.push(format!(
                    "extension {extension} cannot be moved to another schema: recreate it in {shared}"
                ));
            } else {
                move_extension(conn, &extension, shared).await?;
                if !self.fleet.lookup().tenants_reach(shared) {
                    report.warnings.push(format!(
                        "extension {extension} would be in {shared}, which tenants do not see: move it to a schema for \
                         extensions first, and pass that to .extension_schemas([\"…\"]) of the manager's builder"
                    ));
                }
            }
            report.extensions.push(extension.as_str().into());
        }
        Ok(())
    }

    /// Undoes [`adopt`](Self::adopt): the tenant's schema gets its original name back, such as `public`, with its
    /// data. Pass the options that it was adopted with.
    ///
    /// Objects that were moved into the new schema of that name are moved back: extensions, the tables [named as
    /// shared](Adopt::keep_shared), and Tenantry's own. That schema must then be empty, and is dropped; the tenant's
    /// row is deleted.
    ///
    /// # Errors
    ///
    /// As for [`adopt`](Self::adopt), and [`UnknownTenant`](ErrorKind::UnknownTenant);
    /// [`Placement`](ErrorKind::Placement) also if there are other tenants, which would see these tables in their
    /// shared schema, or if the schema holds other objects.
    ///
    /// # Cancel safety
    ///
    /// If dropped, either everything is done or nothing.
    pub async fn release<I>(&self, id: I, options: Adopt) -> Result<AdoptReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let began = Instant::now();
        let id = id.try_into().map_err(Into::into)?;
        let released = self.release_as(&id, &options).await;
        self.fleet.forget(&id);
        let report = released.map_err(|error| error.with_tenant_unless_named(&id))?;
        Ok(AdoptReport { duration: began.elapsed(), ..report })
    }

    async fn release_as(&self, id: &TenantId, options: &Adopt) -> Result<AdoptReport, Error> {
        self.refuse_list_of_others("releasing")?;
        let record = self.fleet.record(id).await?;
        let site = self.fleet.site(&record)?;
        site.refuse_moving()?;
        let to = source(options, &site.schema)?;
        if to != site.schema {
            self.refuse_beside_other_tenants(id).await?;
        }
        let shared = self.fleet.shared_site();
        let mut lease = self.fleet.lease_for(&shared).await?;
        if !options.dry_run {
            retired::ensure_table(&mut lease, &shared.schema).await?;
        }
        let _forget = self.fleet.forget_after(vec![id.clone()]);
        let _gate = self.fleet.server().close_gate(id);
        let mut tx = TenantTransaction::open(lease).await?;
        let mut report = empty_report(&record, &site.schema, &to, options);
        let done = async {
            limit(&mut tx, options).await?;
            lock(&mut tx, &site.schema).await?;
            self.lock_out(&mut tx, &site.schema).await?;
            self.give_back(&mut tx, &site, &to, options, &mut report).await?;
            let is_to_be_done = self.is_to_be_done(&report, options)?;
            if is_to_be_done {
                self.fleet.write(&mut tx, CatalogChange::Dropped(id)).await?;
                if to != site.schema {
                    let note = retired::note_sql(&shared.schema, &site.schema, &to);
                    sqlx::raw_sql(note).execute(&mut *tx).await?;
                }
            }
            Ok(is_to_be_done)
        };
        let done = done.await;
        if !end(tx, done).await? {
            return Ok(report);
        }
        self.fleet.retire(&record);
        self.fleet.note_change(&shared);
        Ok(report)
    }

    async fn give_back(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        to: &Ident,
        options: &Adopt,
        report: &mut AdoptReport,
    ) -> Result<(), Error> {
        let shared = self.fleet.shared_site().schema;
        let of_library = *to == shared;
        let moved = move_objects(conn, &shared, &site.schema, &options.shared, of_library).await?;
        report.moved = moved.moved;
        report.blockers.extend(moved.missing);
        if *to == site.schema {
            return read_objects(conn, to, report).await;
        }
        if let Some(facts) = Facts::read(conn, to).await?
            && !replace(conn, to, &facts, &site.schema, report).await?
        {
            return Ok(());
        }
        let mut sql = Sql::default();
        rename_sql(&mut sql, &site.schema, to);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        follow_into(conn, Renamed { from: &site.schema, to, beside: None }, report).await?;
        read_objects(conn, to, report).await
    }

    /// Returns `true` if the transaction is to be committed: it is not a dry run, and nothing prevents the operation.
    fn is_to_be_done(&self, report: &AdoptReport, options: &Adopt) -> Result<bool, Error> {
        if options.dry_run {
            return Ok(false);
        }
        let is_refused = |name: &&StoredName| name.outcome == NameOutcome::Refused;
        let refused: Vec<_> = report.names.iter().filter(is_refused).cloned().collect();
        match report.blockers.as_slice() {
            [] => Ok(true),
            blockers if blockers.len() > refused.len() => {
                let attempted =
                    format!("{} cannot become {}: {}", report.from, report.to, blockers.join("; "));
                Err(Error::new(ErrorKind::Placement, attempted))
            }
            _ => Err(refuse(refused)),
        }
    }

    async fn refuse_known_tenant(&self, id: &TenantId) -> Result<(), Error> {
        match self.fleet.record(id).await {
            Err(error) if error.kind() == ErrorKind::UnknownTenant => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let attempted = "adopting a schema: the catalog already has this tenant";
                Err(Error::new(ErrorKind::TenantExists, attempted))
            }
        }
    }

    async fn refuse_schema_of_a_tenant(&self, schema: &Ident) -> Result<(), Error> {
        let tenants = self.fleet.list().await?;
        let has_it = |tenant: &&TenantRecord| {
            self.site_of_any(tenant).is_ok_and(|site| site.schema == *schema)
        };
        match tenants.iter().find(has_it) {
            None => Ok(()),
            Some(tenant) => {
                let attempted = format!("the schema {schema} belongs to tenant {}", tenant.id);
                Err(Error::new(ErrorKind::Placement, attempted))
            }
        }
    }

    async fn refuse_beside_other_tenants(&self, id: &TenantId) -> Result<(), Error> {
        match self.fleet.list().await?.iter().find(|tenant| tenant.id != *id) {
            None => Ok(()),
            Some(other) => {
                let attempted = format!(
                    "there are other tenants, such as {}, whose shared schema would contain this one's tables",
                    other.id
                );
                Err(Error::new(ErrorKind::Placement, attempted))
            }
        }
    }
}

/// Moves the extensions of a schema into the one that gets its name and comment, and drops it. Returns `false` if it
/// contains other objects.
async fn replace(
    conn: &mut PgConnection,
    schema: &Ident,
    facts: &Facts,
    by: &Ident,
    report: &mut AdoptReport,
) -> Result<bool, Error> {
    for (extension, is_movable) in extensions(conn, schema).await? {
        match is_movable {
            true => move_extension(conn, &extension, by).await?,
            false => report.blockers.push(format!("extension {extension} cannot be moved")),
        }
        report.extensions.push(extension.as_str().into());
    }
    let left = inventory::objects(conn, schema).await?;
    if !left.is_empty() {
        let left = left.join(", ");
        report
            .blockers
            .push(format!("the schema {schema} contains {left}: move or drop that first"));
        return Ok(false);
    }
    let mut sql = Sql::new("drop schema ");
    sql.ident(schema).text("; ");
    facts.comment_sql(&mut sql, by);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(true)
}

/// Returns the schema that holds the tables, or that will hold them again.
fn source(options: &Adopt, of_tenant: &Ident) -> Result<Ident, Error> {
    let Some(name) = &options.schema else { return Ok(of_tenant.clone()) };
    let schema = Ident::parse(name).map_err(|error| {
        let attempted = "adopting a schema: the given name is not valid";
        Error::new(ErrorKind::Config, attempted).with_source(error)
    })?;
    match schema.as_str() == "public" || !schema.is_reserved_schema() {
        true => Ok(schema),
        false => {
            let attempted = format!("the schema {schema} belongs to the server");
            Err(Error::new(ErrorKind::Placement, attempted))
        }
    }
}

fn empty_report(record: &TenantRecord, from: &Ident, to: &Ident, options: &Adopt) -> AdoptReport {
    AdoptReport {
        tenant_id: record.id.clone(),
        from: from.as_str().into(),
        to: to.as_str().into(),
        dry_run: options.dry_run,
        objects: Vec::new(),
        extensions: Vec::new(),
        moved: Vec::new(),
        names: Vec::new(),
        references: Vec::new(),
        warnings: Vec::new(),
        blockers: Vec::new(),
        duration: Default::default(),
    }
}

async fn limit(conn: &mut PgConnection, options: &Adopt) -> Result<(), Error> {
    let mut sql = Sql::default();
    set_limits(&mut sql, "set local ", options.lock_timeout, None);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Changes the places that store the old name, or records why they cannot be changed.
async fn follow_into(
    conn: &mut PgConnection,
    renamed: Renamed<'_>,
    report: &mut AdoptReport,
) -> Result<(), Error> {
    let found = by_tokens(conn, renamed).await?;
    report.names = found.iter().map(|change| change.name.clone()).collect();
    let is_refused = |name: &&StoredName| name.outcome == NameOutcome::Refused;
    let refused: Vec<_> = report.names.iter().filter(is_refused).map(ToString::to_string).collect();
    if refused.is_empty() {
        follow(conn, found).await?;
    }
    report.blockers.extend(refused);
    Ok(())
}

async fn read_objects(
    conn: &mut PgConnection,
    schema: &Ident,
    report: &mut AdoptReport,
) -> Result<(), Error> {
    let inventory = inventory::read(conn, schema).await?;
    report.objects = inventory.objects;
    report.references = inventory.outside;
    Ok(())
}

/// Commits the changes or rolls them back. Returns `true` if they were committed.
async fn end(tx: TenantTransaction, done: Result<bool, Error>) -> Result<bool, Error> {
    match done {
        Ok(true) => tx.commit().await?,
        Ok(false) => tx.rollback().await?,
        Err(error) => return Err(roll_back(tx, error).await),
    }
    done
}
