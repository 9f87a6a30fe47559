use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};
use sqlx_core::migrate::{ResolveConfig, resolve_blocking_with_config};

use super::{
    checksum::{Checksum, of_set},
    lint::{FileFinding, Findings, Lint, LintReport, Of, RowTables, Subject, check, within_pair},
    stored_names::StoredNames,
};
use crate::{
    error::{Error, ErrorKind},
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The migrations of one kind of schema, in order: the tenants' schemas or the shared schema.
///
/// The format is sqlx's, unchanged: files `<version>_<description>.sql`, or `.up.sql` and `.down.sql`, where a first
/// line `-- no-transaction` runs a file outside a transaction. Read them [from a folder](Self::from_dir), have sqlx
/// [embed](Self::embedded) them at compile time, or [list](Self::from_files) them. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// use tenantry::migrate::{Lint, Migrations};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // From files that lie beside the program when it runs:
/// let tenants = Migrations::from_dir("migrations/tenants")?
///     .lint(Lint::default().allow_schema("public"));
/// // With `sqlx::migrate!`, which puts them into the program:
/// // let tenants = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Migrations(Arc<Set>);

/// sqlx's records table, which we use as well.
const TABLE: &str = "_sqlx_migrations";

#[derive(Clone)]
struct Set {
    files: Vec<MigrationFile>,
    /// The folder that they were read from, unless they are embedded.
    folder: Option<PathBuf>,
    /// Down files without a migration.
    stray: Vec<Arc<str>>,
    lint: Lint,
    /// Lint findings, for tenants' schemas and for the shared schema.
    found: [OnceLock<Arc<[Found]>>; 2],
    /// Places where objects of the files store their schema's name as text, once this was searched.
    stored: Arc<OnceLock<StoredNames>>,
    hash: OnceLock<Arc<str>>,
    /// Whether the server refused all files in one transaction, but not one by one.
    needs_steps: Arc<AtomicBool>,
}

/// Findings in a file.
struct Found {
    version: i64,
    file: Arc<str>,
    is_down: bool,
    findings: Findings,
}

/// What happens to a file, as far as the lint is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Whether it was applied in a schema.
    pub(crate) applied: bool,
    pub(crate) will: Will,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Will {
    /// The file is run, and its down file can be.
    Run,
    /// The down file is run.
    Revert,
    /// Nothing of it is run.
    Rest,
}

/// A migration: the SQL to apply it, and the SQL to revert it, if any.
#[derive(Clone)]
pub struct MigrationFile {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) name: Arc<str>,
    pub(super) sql: SqlStr,
    /// The part of the text that is run.
    pub(super) body: Range<usize>,
    pub(super) checksum: Checksum,
    pub(super) transactional: bool,
    pub(super) down: Option<Down>,
}

/// The down file of a migration.
#[derive(Debug, Clone)]
pub(super) struct Down {
    pub(super) name: Arc<str>,
    pub(super) sql: SqlStr,
    /// The part of the text that is run.
    pub(super) body: Range<usize>,
    pub(super) transactional: bool,
}

impl Migrations {
    /// Reads the files of a folder, as `sqlx::migrate!` does at compile time. Like sqlx, it ignores files whose names
    /// do not have that form. It logs a warning for a `.down.sql` without an `.up.sql`.
    ///
    /// No `sqlx.toml` is read, because its location is unknown at run time. A service that has one with
    /// `ignored-chars` should [embed](Self::embedded) its files or [pass the characters](Self::from_dir_ignoring).
    ///
    /// It reads with the blocking functions of the standard library: call it at startup.
    ///
    /// # Errors
    ///
    /// [`MigrationsError`] if a file cannot be read, if two files have the same version, or if the folder has no
    /// migrations, which usually means that it is the wrong folder.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self, MigrationsError> {
        Self::from_dir_ignoring(folder, [])
    }

    /// Reads the files of a folder, ignoring some characters in their checksums: those of `ignored-chars` in the
    /// `sqlx.toml` of a service whose schemas were migrated by sqlx. Otherwise like [`from_dir`](Self::from_dir).
    ///
    /// # Errors
    ///
    /// As [`from_dir`](Self::from_dir).
    pub fn from_dir_ignoring(
        folder: impl AsRef<Path>,
        ignored: impl IntoIterator<Item = char>,
    ) -> Result<Self, MigrationsError> {
        let folder = folder.as_ref();
        let read = |source| MigrationsError::Read { folder: folder.to_owned(), source };
        let mut config = ResolveConfig::new();
        config.ignore_chars(ignored);
        let found = resolve_blocking_with_config(folder, &config)
            .map_err(|error| read(io::Error::other(error)))?;
        let found = found.into_iter().map(|(migration, path)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (migration, name)
        });
        Self::new(found.collect(), Some(folder))
    }

    /// Uses the migrations that `sqlx::migrate!` has embedded.
    ///
    /// Other settings of the [`Migrator`] are ignored, such as whether it locks the database or ignores missing
    /// files; use [`MigrateOptions`](super::MigrateOptions) instead. Characters that an `sqlx.toml` excludes from the
    /// checksums are excluded here, too.
    ///
    /// # Errors
    ///
    /// As for [`from_dir`](Self::from_dir), and [`TrackedElsewhere`](MigrationsError::TrackedElsewhere) if an
    /// `sqlx.toml` or the settings of the [`Migrator`] record migrations in a table other than `_sqlx_migrations`, or
    /// create schemas first.
    pub fn embedded(migrator: &Migrator) -> Result<Self, MigrationsError> {
        if migrator.table_name != TABLE || !migrator.create_schemas.is_empty() {
            return Err(MigrationsError::TrackedElsewhere {
                table: migrator.table_name.as_ref().into(),
                create_schemas: migrator
                    .create_schemas
                    .iter()
                    .map(|name| name.as_ref().into())
                    .collect(),
            });
        }
        let found = migrator.iter().map(|migration| {
            let description = migration.description.replace(' ', "_");
            let suffix = migration.migration_type.suffix();
            (migration.clone(), format!("{}_{description}{suffix}", migration.version))
        });
        Self::new(found.collect(), None)
    }

    pub(super) fn new(
        found: Vec<(Migration, String)>,
        folder: Option<&Path>,
    ) -> Result<Self, MigrationsError> {
        let mut files = BTreeMap::<i64, MigrationFile>::new();
        let mut downs = BTreeMap::<i64, Down>::new();
        for (migration, name) in found {
            let version = migration.version;
            let name: Arc<str> = name.into();
            let before = match migration.migration_type {
                MigrationType::ReversibleDown => {
                    let down = Down::new(&migration, Arc::clone(&name));
                    downs.insert(version, down).map(|before| before.name)
                }
                MigrationType::Simple | MigrationType::ReversibleUp => {
                    let file = MigrationFile::new(migration, Arc::clone(&name));
                    files.insert(version, file).map(|before| before.name)
                }
            };
            if let Some(first) = before {
                return Err(MigrationsError::SameVersion { version, files: [first, name] });
            }
        }
        let mut stray = Vec::new();
        for (version, down) in downs {
            match files.get_mut(&version) {
                Some(file) => file.down = Some(down),
                None => stray.push(down.name),
            }
        }
        if !stray.is_empty() {
            tracing::warn!(
                target: "tenantry::migrate",
                files = stray.join(", "),
                "down files without a migration are ignored"
            );
        }
        let folder = folder.map(Path::to_owned);
        if files.is_empty() {
            return Err(MigrationsError::Empty { folder });
        }
        let files = files.into_values().collect();
        let (lint, found) = (Lint::default(), Default::default());
        let (hash, needs_steps) = (OnceLock::new(), Arc::default());
        let stored = Arc::default();
        Ok(Self(Arc::new(Set { files, folder, stray, lint, found, stored, hash, needs_steps })))
    }

    /// Creates one migration from a text.
    ///
    /// # Errors
    ///
    /// None for a single file; otherwise as for [`new`](Self::new).
    pub(crate) fn of_text(version: i64, name: &str, text: String) -> Result<Self, MigrationsError> {
        let (kind, sql) = (MigrationType::Simple, printed_by_server(text));
        let migration = Migration::new(version, name.to_owned().into(), kind, sql, false);
        Self::new(vec![(migration, format!("{version}_{name}.sql"))], None)
    }

    /// Sets the lint options: which schemas the files can name, and which rules are off. Default: only the tenant's
    /// own schema, all rules on.
    #[must_use]
    pub fn lint(mut self, lint: Lint) -> Self {
        let set = Arc::make_mut(&mut self.0);
        (set.lint, set.found) = (lint, Default::default());
        self
    }

    /// Returns `true` if a file may revoke privileges.
    pub(crate) fn revokes(&self) -> bool {
        let revokes = |sql: &SqlStr| sql.as_str().to_ascii_lowercase().contains("revoke");
        self.files().iter().any(|file| revokes(&file.sql))
    }

    /// Returns `true` if a file may name a schema: the text contains its name, or escapes that could hide it.
    pub(crate) fn may_name(&self, schema: &Ident) -> bool {
        let name = schema.as_str().to_lowercase();
        self.files().iter().any(|file| {
            let text = file.sql.as_str().to_lowercase();
            text.contains(&name) || text.contains("u&")
        })
    }

    /// Lets the files name extension schemas.
    pub(crate) fn reaching(self, extensions: &[Ident]) -> Self {
        if extensions.is_empty() {
            return self;
        }
        let lint = self.0.lint.clone().reaching(extensions);
        self.lint(lint)
    }

    /// Lets warnings be about Citus, too.
    pub(super) fn for_citus(&self) -> Self {
        let lint = self.0.lint.clone().citus(true);
        self.clone().lint(lint)
    }

    /// Checks all files as migrations of tenants' schemas, and returns what would block a run and what can hurt a
    /// running service. It needs no database: call it in a test or a build step.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tenantry::migrate::Migrations;
    ///
    /// for warning in Migrations::from_dir("migrations/tenants")?.check().into_result()? {
    ///     eprintln!("{warning}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> LintReport {
        self.look(Of::Tenant, &|_| Fate { applied: false, will: Will::Run })
    }

    /// Checks all files as migrations of the shared schema, which can name any schema; see [`check`](Self::check).
    pub fn check_shared(&self) -> LintReport {
        self.look(Of::Shared, &|_| Fate { applied: false, will: Will::Run })
    }

    /// Returns the folder that the files were read from; `None` for embedded ones.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// Returns the migrations, ordered by version.
    #[must_use]
    pub fn files(&self) -> &[MigrationFile] {
        &self.0.files
    }

    /// Returns the names of `.down.sql` files without a migration. Like sqlx, Tenantry ignores them; a
    /// [plan](super::MigrationPlan) lists them.
    #[must_use]
    pub fn stray(&self) -> &[Arc<str>] {
        &self.0.stray
    }

    /// Returns the migration of a version.
    pub(super) fn file(&self, version: i64) -> Option<&MigrationFile> {
        let files = self.files();
        files.binary_search_by_key(&version, |file| file.version).ok().map(|index| &files[index])
    }

    /// Checks that there is a migration of a version, or that the version is 0, the state before the first one.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config), with the nearest versions.
    pub(crate) fn check_version(&self, version: i64) -> Result<(), Error> {
        if version == 0 || self.file(version).is_some() {
            return Ok(());
        }
        let files = self.files();
        let next = files.partition_point(|file| file.version < version);
        let before = next.checked_sub(1).and_then(|before| files.get(before));
        let nearest: Vec<_> =
            before.into_iter().chain(files.get(next)).map(|file| &*file.name).collect();
        let nearest = match nearest.is_empty() {
            true => "there are no files".to_owned(),
            false => format!("the nearest: {}", nearest.join(", ")),
        };
        let attempted = format!("there is no migration of version {version}; {nearest}");
        Err(Error::new(ErrorKind::Config, attempted))
    }

    /// Returns the places where objects of the files store their schema's name as text, once this was searched.
    pub(crate) fn stored_names(&self) -> Option<&StoredNames> {
        self.0.stored.get()
    }

    /// Records where the files' objects store their schema's name. Returns `true` if this was not known before.
    pub(crate) fn note_stored_names(&self, names: StoredNames) -> bool {
        // Two concurrent searches have the same result.
        self.0.stored.set(names).is_ok()
    }

    /// Returns `true` if a new schema must be created file by file.
    pub(crate) fn needs_steps(&self) -> bool {
        !self.files().iter().all(|file| file.transactional)
            || self.0.needs_steps.load(Ordering::Relaxed)
    }

    /// Records that the files cannot all run in one transaction, which only a server can determine.
    pub(crate) fn note_that_it_needs_steps(&self) {
        self.0.needs_steps.store(true, Ordering::Relaxed);
    }

    /// Returns a hexadecimal hash of the versions and checksums of all files. Equal sets of files have equal hashes,
    /// whether read from a folder or embedded.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.0.hash.get_or_init(|| {
            let files = self.files().iter().map(|file| (file.version, &file.checksum));
            of_set(files).into()
        })
    }

    /// Returns the version of the last file.
    pub(crate) fn latest(&self) -> i64 {
        self.files().last().map_or(0, |file| file.version)
    }

    /// Lints the files, each according to what happens to it.
    pub(crate) fn look(&self, of: Of, fate: &dyn Fn(i64) -> Fate) -> LintReport {
        let mut report = LintReport::default();
        for found in self.found(of).iter() {
            let Fate { applied, will } = fate(found.version);
            let is_run = match will {
                Will::Run => true,
                Will::Revert => found.is_down,
                Will::Rest => false,
            };
            for finding in &found.findings.list {
                let (file, version) = (Arc::clone(&found.file), found.version);
                let warns = finding.rule.is_warning();
                let finding = FileFinding { file, version, applied, finding: finding.clone() };
                match () {
                    () if is_run && !warns => report.errors.push(finding),
                    // Any harm it could do is already done.
                    () if is_run && !applied && !found.is_down => report.warnings.push(finding),
                    // A new tenant gets the files that were applied in all existing ones.
                    () if applied && will == Will::Rest && !warns && !found.is_down => {
                        report.warnings.push(finding);
                    }
                    () => {}
                }
            }
            report.more += if is_run { found.findings.more } else { 0 };
        }
        report
    }

    fn found(&self, of: Of) -> Arc<[Found]> {
        let place = match of {
            Of::Tenant => &self.0.found[0],
            Of::Shared => &self.0.found[1],
        };
        let mut rows = RowTables::default();
        let mut look = |version, name: &Arc<str>, sql: &SqlStr, transactional, is_down: bool| {
            let subject = Subject { text: sql.as_str(), of, transactional, version };
            let findings = check(&self.0.lint.clone().after(rows.clone()), &subject);
            if !is_down {
                rows.note_file(sql.as_str());
            }
            Found { version, file: Arc::clone(name), is_down, findings }
        };
        let all = || {
            let files = self.files().iter().flat_map(|file| {
                let version = file.version;
                let up = look(version, &file.name, &file.sql, file.transactional, false);
                let down = file.down.as_ref();
                let down = down.map(|d| look(version, &d.name, &d.sql, d.transactional, true));
                std::iter::once(up).chain(down)
            });
            files.filter(|found| found.findings != Findings::default()).collect()
        };
        Arc::clone(place.get_or_init(all))
    }
}

impl TryFrom<&Migrator> for Migrations {
    type Error = MigrationsError;

    /// As [`embedded`](Self::embedded).
    fn try_from(files: &Migrator) -> Result<Self, MigrationsError> {
        Self::embedded(files)
    }
}

impl MigrationFile {
    fn new(migration: Migration, name: Arc<str>) -> Self {
        let transactional = is_transactional(&migration);
        let checksum = Checksum::new(&migration);
        let Migration { version, description, sql, .. } = migration;
        let description = description.into_owned();
        let body = body_of(&sql, transactional);
        Self { version, description, name, sql, body, checksum, transactional, down: None }
    }

    /// Returns the version, the number at the start of the name.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Returns the name of the file; for an embedded one, without the leading zeros of its version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description, as sqlx records it: the name without version and extension, with spaces.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns `true` if it runs in a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.transactional
    }

    /// Returns `true` if it can be reverted.
    #[must_use]
    pub fn is_reversible(&self) -> bool {
        self.down.is_some()
    }
}

impl Down {
    fn new(migration: &Migration, name: Arc<str>) -> Self {
        let transactional = is_transactional(migration);
        let sql = migration.sql.clone();
        let body = body_of(&sql, transactional);
        Self { name, sql, body, transactional }
    }
}

/// sqlx checks the first bytes of a file, which can be a byte order mark written by an editor. A file that is
/// completely enclosed in `begin` and `commit` also shares a transaction with its record.
fn is_transactional(migration: &Migration) -> bool {
    let text = text_of(&migration.sql);
    let outside = migration.no_tx || text.starts_with("-- no-transaction");
    !outside || within_pair(text).is_some()
}

/// Returns the SQL of a file that runs in a transaction, without an enclosing `begin` and `commit`.
pub(crate) fn body_in_transaction(sql: &SqlStr) -> SqlStr {
    let mut without = Sql::default();
    without.vouched(sql, body_of(sql, true));
    without.finish()
}

/// Returns the part of a file that is run: without a byte order mark, which PostgreSQL does not accept, and, in a
/// transaction, without an enclosing `begin` and `commit`.
fn body_of(sql: &SqlStr, transactional: bool) -> Range<usize> {
    let text = text_of(sql);
    let (all, mark) = (sql.as_str().len(), sql.as_str().len() - text.len());
    match within_pair(text).filter(|_| transactional) {
        Some(within) => mark + within.start..mark + within.end,
        None => mark..all,
    }
}

/// Returns the text of a file without a byte order mark.
fn text_of(sql: &SqlStr) -> &str {
    sql.as_str().trim_start_matches('\u{feff}')
}

impl fmt::Debug for Migrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files()).finish()
    }
}

impl fmt::Debug for MigrationFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the text, which can have any length.
        f.debug_tuple("MigrationFile").field(&self.name).finish()
    }
}

impl From<MigrationsError> for Error {
    fn from(error: MigrationsError) -> Self {
        Self::new(ErrorKind::Migration, "reading migrations").with_source(error)
    }
}

/// Why files could not be loaded as [`Migrations`].
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MigrationsError {
    /// The folder or a file in it cannot be read, or a file has no version before its first `_`.
    #[error("reading migrations from {}: {source}", folder.display())]
    Read {
        /// The folder as given.
        folder: PathBuf,
        /// The cause, including the file if it concerns one.
        source: io::Error,
    },
    /// Two files have the same version.
    #[error("version {version} has two files, {} and {}: rename one of them", files[0], files[1])]
    SameVersion {
        /// The version that they share.
        version: i64,
        /// The two files.
        files: [Arc<str>; 2],
    },
    /// An `sqlx.toml` makes sqlx record migrations in a table of another name, or create schemas first. Each tenant's
    /// schema has its own table `_sqlx_migrations`, so neither is supported.
    #[error(
        "sqlx is configured to record migrations in {table}{}, which is not supported: they are recorded in \
         _sqlx_migrations in each schema. Remove table-name and create-schemas from [migrate] in sqlx.toml",
        and_create(create_schemas)
    )]
    TrackedElsewhere {
        /// The table, as configured.
        table: Box<str>,
        /// Schemas that sqlx would create first.
        create_schemas: Vec<Box<str>>,
    },
    /// A file name is not that of a migration.
    #[error("{file:?} is not the name of a migration: files are named <version>_<description>.sql")]
    Name {
        /// The name as given.
        file: Arc<str>,
    },
    /// There are no migrations.
    #[error("there is no migration{}", of_folder(folder.as_deref()))]
    Empty {
        /// The folder, if they were read from one.
        folder: Option<PathBuf>,
    },
}

crate::error_report::readable_debug!(MigrationsError);

fn and_create(schemas: &[Box<str>]) -> String {
    if schemas.is_empty() {
        String::new()
    } else {
        format!(", and to create {}", schemas.join(", "))
    }
}

fn of_folder(folder: Option<&Path>) -> String {
    folder.map_or_else(String::new, |folder| {
        format!(" in {}: files are named <version>_<description>.sql", folder.display())
    })
}
