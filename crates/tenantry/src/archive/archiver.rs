use std::path::Path;

use super::{
    DiffOptions, DiffReport, ExportOptions, ExportReport, ImportOptions, ImportReport, Manifest,
    MergeOptions, MergeReport, open::Opened,
};
use crate::{
    error::Error,
    fleet::Fleet,
    provision::Provisioner,
    tenant::{ParseTenantIdError, TenantId},
};

/// Exports tenants to archives, imports them from there, compares the rows of tenants, and merges chosen ones.
///
/// Created by [`TenantManager::archiver`](crate::TenantManager::archiver). It takes its connections from the manager's
/// budget. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// use tenantry::archive::{ExportOptions, ImportOptions};
///
/// let archiver = manager.archiver();
/// println!("{}", archiver.export("acme", "backup/acme", ExportOptions::default()).await?);
/// // Another day: its former state beside the present one.
/// println!("{}", archiver.import("backup/acme", "acme-before", ImportOptions::default()).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an archiver does nothing until one of its methods is called"]
pub struct Archiver {
    pub(super) fleet: Fleet,
    pub(super) provisioner: Provisioner,
}

impl Archiver {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { provisioner: Provisioner::new(fleet.clone()), fleet }
    }

    /// Exports a tenant to a new folder: every object of its schema, its rows, its migration records, the positions of
    /// its sequences, and its record in the catalog.
    ///
    /// All rows are of one snapshot, in a read-only transaction. The tenant can be read and written meanwhile; its
    /// tables cannot be altered. Suspended tenants can be exported. The rows stream through this process, which holds
    /// some 100 kB and the longest row of them at a time.
    ///
    /// The folder has another name, which begins with a dot and ends with `.partial-` and a number, until it is whole
    /// and on the disk. Its parent must exist. Only the current user can read it.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](crate::ErrorKind::UnknownTenant). [`Placement`](crate::ErrorKind::Placement) if the tenant has
    /// no schema in the database of its server's URL: for one that is isolated by row, see
    /// [`export_rows`](Provisioner::export_rows). [`Archive`](crate::ErrorKind::Archive) if the folder exists, or cannot
    /// be written, with the [`io::Error`](std::io::Error) as the source. [`Busy`](crate::ErrorKind::Busy) if the tenant
    /// is being created, dropped or moved, or was altered meanwhile. Otherwise the server's error, with the table.
    ///
    /// # Cancel safety
    ///
    /// If dropped, there is no archive, or, if that happens while its folder gets its name, all of it. If the process is
    /// killed, the folder with the other name remains.
    ///
    /// # Examples
    ///
    /// See [`Archiver`].
    pub async fn export<I>(
        &self,
        id: I,
        to: impl AsRef<Path>,
        options: ExportOptions,
    ) -> Result<ExportReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        // A separate boxed future, to keep the callers' futures small.
        let exported = Box::pin(self.export_now(&id, to.as_ref(), &options)).await;
        exported.map_err(|error| error.with_tenant_unless_named(&id))
    }

    /// Creates a tenant from an archive, with the same or another id, on the same or another server.
    ///
    /// All files are checked before anything is created. The tenant is then created like
    /// [any other](Provisioner::create), except that its content comes from the archive: no migrations and seeds are
    /// run, but [hooks](Self::provisioner) are. Everything is loaded in one transaction, and compared with the archive
    /// before the tenant is served. The names of the schema and of the role are replaced by the new ones as for
    /// [clones](Provisioner::clone_tenant). Migrate the tenant afterwards if its archive is older than the files.
    ///
    /// **The archive's statements run with the privileges of the manager's role.** Import only archives whose origin
    /// you trust: the hashes show damage, and not who has written it.
    ///
    /// # Errors
    ///
    /// [`Archive`](crate::ErrorKind::Archive) if the archive is of a newer format, if a file is missing, has another
    /// size or hash, or if the new tenant differs from the archive. [`TenantExists`](crate::ErrorKind::TenantExists),
    /// [`NameInUse`](crate::ErrorKind::NameInUse), [`Placement`](crate::ErrorKind::Placement) and
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied) as for [`create`](Provisioner::create).
    /// [`Placement`](crate::ErrorKind::Placement) also if the new tenant would not have a schema.
    /// [`Config`](crate::ErrorKind::Config) if the archived tenant had its own role, and the new one has none.
    /// Otherwise the server's error, with the table or the statement. Nothing is left behind.
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Provisioner::create): if dropped, the tenant exists completely, or does not exist, or is not
    /// served until the next `import` or `create` of its id completes or removes it.
    ///
    /// # Examples
    ///
    /// See [`Archiver`].
    pub async fn import<I>(
        &self,
        from: impl AsRef<Path>,
        id: I,
        options: ImportOptions,
    ) -> Result<ImportReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        let imported = Box::pin(self.import_now(from.as_ref(), &id, &options)).await;
        imported.map_err(|error| error.with_tenant_unless_named(&id))
    }

    /// Compares the rows of two tenants by their primary keys, table by table: of tenants on the same or different
    /// servers, such as an imported one and its present state.
    ///
    /// Each side is read in the order of the key, in one snapshot of a read-only transaction, and the rows stream
    /// through this process, which holds one of each. Values are compared as text; generated columns are not compared.
    /// Tables without a primary key, or with another one, are compared by the number of rows and a hash of all.
    /// Partitions are compared one by one. The snapshots of the two tenants are not of the same moment.
    ///
    /// Both tenants can be read and written meanwhile; their tables cannot be altered. It takes two connections.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](crate::ErrorKind::UnknownTenant); [`Placement`](crate::ErrorKind::Placement) if a tenant has no
    /// schema in the database of its server's URL; [`Busy`](crate::ErrorKind::Busy) if one is being created, dropped or
    /// moved; [`Config`](crate::ErrorKind::Config) if the options name a table that neither has, or the budget has no
    /// room for two connections. Otherwise the server's error, with the table.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::archive::DiffOptions;
    ///
    /// let diff = manager.archiver().diff("acme-monday", "acme", DiffOptions::default()).await?;
    /// println!("{diff}");
    /// for row in diff.tables.iter().flat_map(|table| &table.rows) {
    ///     println!("{:?} {:?} {:?}", row.key, row.found, row.columns);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn diff<A, B>(
        &self,
        first: A,
        second: B,
        options: DiffOptions,
    ) -> Result<DiffReport, Error>
    where
        A: TryInto<TenantId>,
        A::Error: Into<ParseTenantIdError>,
        B: TryInto<TenantId>,
        B::Error: Into<ParseTenantIdError>,
    {
        let first = first.try_into().map_err(Into::into)?;
        let second = second.try_into().map_err(Into::into)?;
        Box::pin(self.diff_now([&first, &second], &options)).await
    }

    /// Merges chosen rows of one tenant into another, on the same or another server: for example those of an imported
    /// archive into the present state of the tenant.
    ///
    /// The rows are compared as by [`diff`](Self::diff), and those that differ are written: missing ones are inserted,
    /// different ones updated, and, if [asked](MergeOptions::delete), those that only the target has deleted. Rows that
    /// are the same are not touched. Everything happens in one transaction of the target, and in one statement, at whose
    /// end the server checks foreign keys: neither their order nor circles of them matter. Rows that were not chosen are
    /// never written to satisfy a foreign key; the merge fails instead.
    ///
    /// - Triggers of the tenant fire, and foreign keys cascade, as for any statement of the application: audit tables and
    ///   counters stay right. The report has what they changed. They run with the privileges of the manager's role, and
    ///   see the search path of the tenant.
    /// - Generated columns are computed by the target. Identity columns keep their values, and the sequences of columns
    ///   are moved past them, which a rollback does not undo.
    /// - The target can be read and written meanwhile. If another transaction changes a row that is to be written, the
    ///   merge is done again, up to three times, and then fails.
    /// - Values that PostgreSQL prints alike are the same, as for [`diff`](Self::diff). Keys that are equal for the
    ///   server and printed differently, of `citext` for example, are two keys: such a row is refused as a duplicate.
    ///
    /// It takes one connection to the source and two to the target, and holds one row of each at a time. What differs is
    /// in temporary tables of the target until it is written.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) if the options choose nothing, a table that cannot be merged, such as one
    /// without a primary key, or a key that neither tenant has; or if the budget has no room for the connections.
    /// [`Merge`](crate::ErrorKind::Merge) if a listed row has changed since it was compared, or a row differs in a column
    /// that cannot be updated. [`ForeignKeyViolation`](crate::ErrorKind::ForeignKeyViolation),
    /// [`UniqueViolation`](crate::ErrorKind::UniqueViolation) and other constraints that the target would violate.
    /// [`SerializationFailure`](crate::ErrorKind::SerializationFailure), [`Deadlock`](crate::ErrorKind::Deadlock) or
    /// [`LockNotAvailable`](crate::ErrorKind::LockNotAvailable) if other transactions were in the way.
    /// [`UnknownTenant`](crate::ErrorKind::UnknownTenant); [`Placement`](crate::ErrorKind::Placement) if a tenant has no
    /// schema in the database of its server's URL: for one that is isolated by row, see
    /// [`restore_rows`](Provisioner::restore_rows); [`Busy`](crate::ErrorKind::Busy) if one is being created, dropped or
    /// moved. Otherwise the server's error. Nothing is merged then, unless the message says that the outcome is unknown,
    /// because the connection was lost during the commit: merging again is safe.
    ///
    /// # Cancel safety
    ///
    /// If dropped, everything or nothing was merged. If a closure for the progress panics, the merge goes on.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::archive::{DiffOptions, MergeOptions, RowFound};
    ///
    /// let archiver = manager.archiver();
    /// let mut diff = archiver.diff("acme-monday", "acme", DiffOptions::default()).await?;
    /// // What was deleted since Monday, and nothing else.
    /// for table in &mut diff.tables {
    ///     table.rows.retain(|row| row.found == RowFound::OnlyInFirst);
    /// }
    /// let options = MergeOptions::default().listed_in(&diff);
    /// println!("{}", archiver.merge("acme-monday", "acme", options.clone().dry_run(true)).await?);
    /// println!("{}", archiver.merge("acme-monday", "acme", options).await?);
    /// # Ok(()) }
    /// ```
    pub async fn merge<A, B>(
        &self,
        from: A,
        into: B,
        options: MergeOptions,
    ) -> Result<MergeReport, Error>
    where
        A: TryInto<TenantId>,
        A::Error: Into<ParseTenantIdError>,
        B: TryInto<TenantId>,
        B::Error: Into<ParseTenantIdError>,
    {
        let from = from.try_into().map_err(Into::into)?;
        let into = into.try_into().map_err(Into::into)?;
        Box::pin(self.merge_now([&from, &into], &options)).await
    }

    /// Reads what an archive contains. Checks the manifest, and not the other files.
    ///
    /// # Errors
    ///
    /// [`Archive`](crate::ErrorKind::Archive) if the manifest cannot be read, is damaged or of a newer format.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn read(&self, from: impl AsRef<Path>) -> Result<Manifest, Error> {
        Opened::open(from.as_ref()).await.map(|opened| opened.manifest)
    }

    /// Reads all files of an archive, and checks that they are as they were written.
    ///
    /// # Errors
    ///
    /// [`Archive`](crate::ErrorKind::Archive), with the first file that is missing or damaged.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn verify(&self, from: impl AsRef<Path>) -> Result<Manifest, Error> {
        let opened = Opened::open(from.as_ref()).await?;
        opened.check().await?;
        Ok(opened.manifest)
    }

    /// Sets the provisioner whose [hooks](Provisioner::after_create) run for imported tenants, in the transaction that
    /// creates them. Its seeds and migrations are not used. Default: one without hooks.
    pub fn provisioner(mut self, provisioner: &Provisioner) -> Self {
        self.provisioner = provisioner.hooks_alone();
        self
    }
}
