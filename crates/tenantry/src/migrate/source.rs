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
    lint::{FileFinding, Findings, Lint, LintReport, Of, Subject, check, within_pair},
    stored_names::StoredNames,
};
use crate::{
    error::{Error, ErrorKind},
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The migrations of one kind of schema, in order: those of every tenant, or those of the shared schema.
///
/// They are what sqlx calls migrations, as they are: files `<version>_<description>.sql`, or
/// `.up.sql` and `.down.sql`, where a first line `-- no-transaction` keeps a file out of a transaction.
/// Read them [from a folder](Self::from_dir), have sqlx [embed](Self::embedded) them when the program is
/// compiled, or [list](Self::from_files) them. Cloning is cheap.
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

/// Where sqlx records migrations, and so do we.
const TABLE: &str = "_sqlx_migrations";

#[derive(Clone)]
struct Set {
    files: Vec<MigrationFile>,
    /// Where they were read from, unless they are embedded.
    folder: Option<PathBuf>,
    /// Ways back of migrations that do not exist.
    stray: Vec<Arc<str>>,
    lint: Lint,
    /// What was found in the files, of tenants and of the shared schema.
    found: [OnceLock<Arc<[Found]>>; 2],
    /// Where what the files make keeps the name of its schema as text, once that was looked for.
    stored: Arc<OnceLock<StoredNames>>,
    hash: OnceLock<Arc<str>>,
    /// All files in one transaction were refused, and one after the other they were not.
    needs_steps: Arc<AtomicBool>,
}

/// What was found in a file.
struct Found {
    version: i64,
    file: Arc<str>,
    is_down: bool,
    findings: Findings,
}

/// What is to be done with a file, as far as a lint is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Whether it was applied in a schema.
    pub(crate) applied: bool,
    pub(crate) will: Will,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Will {
    /// The file is run, and its way back may be.
    Run,
    /// The way back is run.
    Revert,
    /// Nothing of it is run.
    Rest,
}

/// One migration: what to run, and what to run to take it back.
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

/// The way back of a migration.
#[derive(Debug, Clone)]
pub(super) struct Down {
    pub(super) name: Arc<str>,
    pub(super) sql: SqlStr,
    /// The part of the text that is run.
    pub(super) body: Range<usize>,
    pub(super) transactional: bool,
}

impl Migrations {
    /// Reads the files of a folder, as `sqlx::migrate!` does when a program is compiled. Files whose
    /// names are not of that form are passed over, as sqlx does. A `.down.sql` that has no `.up.sql` is warned of.
    ///
    /// No `sqlx.toml` is read: at run time nobody knows where it lies. A service that has one with
    /// `ignored-chars` [embeds](Self::embedded) its files, or [says so](Self::from_dir_ignoring).
    ///
    /// It reads with the functions of the standard library, which block: call it while the program
    /// starts.
    ///
    /// # Errors
    ///
    /// [`MigrationsError`] when a file cannot be read, when two have one version, and when there is no migration
    /// at all, since the folder is likely another one then.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self, MigrationsError> {
        Self::from_dir_ignoring(folder, [])
    }

    /// Reads the files of a folder, and leaves characters out of their checksums: those of `ignored-chars` in the
    /// `sqlx.toml` of a service whose schemas were migrated by sqlx. Otherwise as [`from_dir`](Self::from_dir).
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

    /// Takes the migrations that `sqlx::migrate!` has embedded.
    ///
    /// What else a [`Migrator`] can be told plays no part here: whether it locks the database, or
    /// ignores missing files. The [`MigrateOptions`](super::MigrateOptions) say that. Characters that an
    /// `sqlx.toml` leaves out of the checksums are left out.
    ///
    /// # Errors
    ///
    /// As [`from_dir`](Self::from_dir), and [`TrackedElsewhere`](MigrationsError::TrackedElsewhere) when an
    /// `sqlx.toml`, or whoever has made the [`Migrator`], says that migrations are recorded elsewhere than in
    /// `_sqlx_migrations`, or schemas to be created first.
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
                "ways back of migrations that do not exist are passed over"
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

    /// Makes one migration of a text.
    ///
    /// # Errors
    ///
    /// None for a single one; as [`new`](Self::new).
    pub(crate) fn of_text(version: i64, name: &str, text: String) -> Result<Self, MigrationsError> {
        let (kind, sql) = (MigrationType::Simple, printed_by_server(text));
        let migration = Migration::new(version, name.to_owned().into(), kind, sql, false);
        Self::new(vec![(migration, format!("{version}_{name}.sql"))], None)
    }

    /// Sets what the files may name, and which rules they need not keep to. Default: nothing outside the
    /// tenant's own schema, and all rules.
    #[must_use]
    pub fn lint(mut self, lint: Lint) -> Self {
        let set = Arc::make_mut(&mut self.0);
        (set.lint, set.found) = (lint, Default::default());
        self
    }

    /// Returns `true` if a file may take privileges away.
    pub(crate) fn revokes(&self) -> bool {
        let revokes = |sql: &SqlStr| sql.as_str().to_ascii_lowercase().contains("revoke");
        self.files().iter().any(|file| revokes(&file.sql))
    }

    /// Returns `true` if a file may name a schema: its name is somewhere in the text, or could be in escapes.
    pub(crate) fn may_name(&self, schema: &Ident) -> bool {
        let name = schema.as_str().to_lowercase();
        self.files().iter().any(|file| {
            let text = file.sql.as_str().to_lowercase();
            text.contains(&name) || text.contains("u&")
        })
    }

    /// Lets the files name schemas of extensions.
    pub(crate) fn reaching(self, extensions: &[Ident]) -> Self {
        if extensions.is_empty() {
            return self;
        }
        let lint = self.0.lint.clone().reaching(extensions);
        self.lint(lint)
    }

    /// Looks into all files as those of tenants' schemas, and says what would keep them from being run and what may
    /// hurt a service that is running. It needs no database: call it in a test, or in a step of the build.
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

    /// Looks into all files as those of the shared schema, which may name what they like; see
    /// [`check`](Self::check).
    pub fn check_shared(&self) -> LintReport {
        self.look(Of::Shared, &|_| Fate { applied: false, will: Will::Run })
    }

    /// Returns the folder that they were read from; `None` for embedded ones.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// Returns the migrations, in the order of their versions.
    #[must_use]
    pub fn files(&self) -> &[MigrationFile] {
        &self.0.files
    }

    /// Returns the names of files that are ways back of migrations that do not exist. They are passed over, as sqlx
    /// does, and a [plan](super::MigrationPlan) names them.
    #[must_use]
    pub fn stray(&self) -> &[Arc<str>] {
        &self.0.stray
    }

    /// Returns the migration of a version.
    pub(super) fn file(&self, version: i64) -> Option<&MigrationFile> {
        let files = self.files();
        files.binary_search_by_key(&version, |file| file.version).ok().map(|index| &files[index])
    }

    /// Checks that there is a migration of a version, or that it is 0, which stands before the first.
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

    /// Returns where what the files make keeps the name of its schema as text, once that was looked for.
    pub(crate) fn stored_names(&self) -> Option<&StoredNames> {
        self.0.stored.get()
    }

    /// Notes where what the files make keeps the name of its schema. Returns whether nobody had.
    pub(crate) fn note_stored_names(&self, names: StoredNames) -> bool {
        // Two that have looked have found the same.
        self.0.stored.set(names).is_ok()
    }

    /// Says whether a new schema has to be made file by file.
    pub(crate) fn needs_steps(&self) -> bool {
        !self.files().iter().all(|file| file.transactional)
            || self.0.needs_steps.load(Ordering::Relaxed)
    }

    /// Notes that the files cannot all be in one transaction, which only a server can tell.
    pub(crate) fn note_that_it_needs_steps(&self) {
        self.0.needs_steps.store(true, Ordering::Relaxed);
    }

    /// Returns a hash of the versions and checksums of all files, in hexadecimal: equal sets of files have
    /// equal hashes, whether they were read from a folder or embedded.
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

    /// Looks into the files, each according to what is to be done with it.
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
                    // What it hurts, it has hurt already.
                    () if is_run && !applied && !found.is_down => report.warnings.push(finding),
                    // A new tenant gets what was applied in all that there are.
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
        let look = |version, name: &Arc<str>, sql: &SqlStr, transactional, is_down| {
            let subject = Subject { text: sql.as_str(), of, transactional, version };
            let findings = check(&self.0.lint, &subject);
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

    /// Returns the name of the file; of an embedded one without the zeros before its version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the description, as sqlx records it: the name without version and ending, with spaces.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Says whether it is run in a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.transactional
    }

    /// Says whether there is a way back.
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

/// sqlx looks at the first bytes of a file, which an editor may have put a byte order mark before. One that is a
/// transaction of its own as a whole is in one as well with its record.
fn is_transactional(migration: &Migration) -> bool {
    let text = text_of(&migration.sql);
    let outside = migration.no_tx || text.starts_with("-- no-transaction");
    !outside || within_pair(text).is_some()
}

/// Returns the SQL of a file that is run in a transaction: without what is only around it.
pub(crate) fn body_in_transaction(sql: &SqlStr) -> SqlStr {
    let mut without = Sql::default();
    without.vouched(sql, body_of(sql, true));
    without.finish()
}

/// Returns the part of a file that is run: without a byte order mark, which PostgreSQL does not know, and, in a
/// transaction, without a `begin` and `commit` that are around all of it.
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
        // Not the text: it can be of any length.
        f.debug_tuple("MigrationFile").field(&self.name).finish()
    }
}

impl From<MigrationsError> for Error {
    fn from(error: MigrationsError) -> Self {
        Self::new(ErrorKind::Migration, "reading migrations").with_source(error)
    }
}

/// Why files are no [`Migrations`].
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MigrationsError {
    /// The folder or a file in it cannot be read, or a file has no version before its first `_`.
    #[error("reading migrations from {}: {source}", folder.display())]
    Read {
        /// The folder as given.
        folder: PathBuf,
        /// Why, with the file where it is one.
        source: io::Error,
    },
    /// Two files have one version.
    #[error("version {version} is that of two files, {} and {}: rename one of them", files[0], files[1])]
    SameVersion {
        /// The version.
        version: i64,
        /// The files.
        files: [Arc<str>; 2],
    },
    /// An `sqlx.toml` has sqlx record migrations in a table of another name, or create schemas first. Every tenant's
    /// schema has a table `_sqlx_migrations` of its own, so neither can be followed.
    #[error(
        "sqlx is set to record migrations in {table}{}, which cannot be followed: they are recorded in \
         _sqlx_migrations in each schema. Take table-name and create-schemas out of [migrate] in sqlx.toml",
        and_create(create_schemas)
    )]
    TrackedElsewhere {
        /// The table, as it was given.
        table: Box<str>,
        /// Schemas that sqlx would create first.
        create_schemas: Vec<Box<str>>,
    },
    /// A name is not that of a migration.
    #[error("{file:?} is not the name of a migration: files are named <version>_<description>.sql")]
    Name {
        /// The name as given.
        file: Arc<str>,
    },
    /// There is no migration.
    #[error("there is no migration{}", of_folder(folder.as_deref()))]
    Empty {
        /// The folder, when they were read from one.
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
