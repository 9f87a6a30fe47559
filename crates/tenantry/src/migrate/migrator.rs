use std::{borrow::Cow, sync::Arc};

use futures_util::FutureExt;
use sqlx::SqlStr;
use tokio::time::Instant;

use super::{
    BegunFile, End, Failure, LintError, LintReport, MigrateOptions, MigrateReport, MigrationPlan,
    Migrations, Outcome, PendingFile, SchemaState, SchemaStatus, Schemas, TenantMigration,
    lint::{FileFinding, HAS_PARSER, Lint, Of, Subject, check},
    plan::{Applied, Job, goes_on, pending, problems, remark},
    run::Order,
    schemas::ROWS,
    scope::Scope,
    stage::Way,
    standing::{Found, put_aside},
    survey::{self, Closer, Recorded},
    targets::{RowTenants, Target, targets_of},
    turn,
};
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::{Fleet, in_each_home},
};

/// Migrates all tenants' schemas and the shared schema.
///
/// Created by [`TenantManager::migrator`](crate::TenantManager::migrator). It takes its connections from the
/// manager's budget. Cloning is cheap.
///
/// # How it works
///
/// ```text
///   list tenants ─▶ read all migration records ─▶ compare with the files ─▶ lint the pending files
///                   (4 statements for 1,000 tenants)   nothing pending: done
///                                                             │
///        canary ─▶ wave ─▶ wave ─▶ …                          ▼
///        each tenant: bind · lock and re-read · begin, record, file, commit (one string)
/// ```
///
/// A deploy without pending migrations costs a few statements in total, whatever the number of tenants. Migrations
/// are recorded in sqlx's table `_sqlx_migrations` in each schema. A file and its record share a transaction, so a
/// run that was killed is resumed by running it again. Concurrent runs are safe: each schema has a lock, and the lock
/// holder re-reads the migration records.
///
/// Suspended tenants are migrated as well, so that they are up to date when they are resumed.
///
/// Tenants that are [isolated by row](crate::Isolation::row) share their tables, which are migrated once, with the
/// tenants' files: the report names them `(rows)`. Policies do not apply to the statements of a file. If the role is
/// subject to them, because they are forced on a table and it has no `bypassrls`, reading or changing rows of that
/// table is an error.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::migrate::{MigrateOptions, Migrations, Schemas};
///
/// let migrator = manager
///     .migrator()
///     .tenants(Migrations::from_dir("migrations/tenants")?)
///     .shared(Migrations::from_dir("migrations/shared")?);
///
/// println!("{}", migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?);
/// let report = migrator.migrate_all(MigrateOptions::default()).await?;
/// if !report.is_success() {
///     eprintln!("{report}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a migrator does nothing until one of its methods is called"]
pub struct TenantMigrator {
    pub(super) fleet: Fleet,
    tenants: Option<Migrations>,
    shared: Option<Migrations>,
}

/// Schemas with their migration records.
pub(super) type Surveyed = Vec<(Target, Result<Recorded, Failure>)>;

impl TenantMigrator {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, tenants: None, shared: None }
    }

    /// Sets the migrations of the tenants' schemas.
    pub fn tenants(mut self, migrations: Migrations) -> Self {
        self.tenants = Some(migrations.reaching(self.fleet.lookup().extension_schemas()));
        self
    }

    /// Sets the migrations of the shared schema.
    pub fn shared(mut self, migrations: Migrations) -> Self {
        self.shared = Some(migrations.reaching(self.fleet.lookup().extension_schemas()));
        self
    }

    /// Migrates the shared schema, if it has migrations, and then every tenant's.
    ///
    /// If the shared schema fails, no tenant is started.
    ///
    /// Instances of the previous release can still create tenants with their own, older files afterwards. Once a run
    /// has completed, this manager checks each tenant that it discovers later, once and in the background, and
    /// migrates it with these files and options if it only lacks files. A run [to](MigrateOptions::to) a version does
    /// not do this.
    ///
    /// # Errors
    ///
    /// Only if nothing was started: [`Config`](ErrorKind::Config) if an option is invalid;
    /// [`Migration`](ErrorKind::Migration) if the files contain forbidden statements (with a
    /// [`LintError`](super::LintError) as the source; if there are no tenants, all files are checked); and any error
    /// of listing the tenants or reaching the database. Later failures are in the report.
    ///
    /// # Cancel safety
    ///
    /// If dropped, a file that was running in a transaction is either committed or rolled back, and one outside a
    /// transaction is left dirty. Another run continues from there, unless the interrupted statement is one whose
    /// progress cannot be known, such as `call`. To end early and get the report, use
    /// [`stop_when`](MigrateOptions::stop_when).
    pub async fn migrate_all(&self, options: MigrateOptions) -> Result<MigrateReport, Error> {
        let began = Instant::now();
        let job = Job::Apply { to: options.to };
        options.check()?;
        let set = self.set(&Schemas::AllTenants)?;
        Self::check_version(job, set)?;
        let set = &*self.fit_for_server(set).await?;
        let turn = turn::take(&self.fleet, &options).await?;
        let report = self.migrate_in_turn(job, set, &options, began).await;
        if let Some(turn) = turn {
            turn.settle().await;
        }
        let report = report?;
        if report.end == End::Completed && options.to.is_none() {
            self.attend_newcomers(set, &options, &report);
        }
        Ok(report)
    }

    /// Returns the files with the warnings that apply to the server.
    async fn fit_for_server<'s>(&self, set: &'s Migrations) -> Result<Cow<'s, Migrations>, Error> {
        Ok(match self.fleet.find_citus().await? {
            Some(_) => Cow::Owned(set.for_citus()),
            None => Cow::Borrowed(set),
        })
    }

    async fn migrate_in_turn(
        &self,
        job: Job,
        set: &Migrations,
        options: &MigrateOptions,
        began: Instant,
    ) -> Result<MigrateReport, Error> {
        let (surveyed, memory) = self.survey_all(job, set, options).await?;
        let mut lint = self.prepare(job, set, &surveyed, options)?;
        let shared = match &self.shared {
            // A target version refers to the tenants' files.
            Some(_) => Some(self.run_shared(Job::Apply { to: None }, options).await?),
            None => None,
        };
        let (end, tenants) = match &shared {
            Some((_, shared, _)) if !shared.is_success() => {
                let not_begun = |(target, _): (Target, _)| not_begun(&self.fleet, &target);
                (End::SharedFailed, surveyed.into_iter().map(not_begun).collect())
            }
            _ => {
                let order = Order { memory: memory.as_ref(), ..self.order(job, set, options) };
                self.over_all(&order, surveyed, &mut lint).await
            }
        };
        let shared = shared.map(|(_, shared, warnings)| {
            lint.extend(warnings);
            shared
        });
        Ok(MigrateReport::new(end, shared, tenants, began.elapsed()).with_lint(lint))
    }

    /// Migrates the schemas of the given tenants. The shared schema is not migrated.
    ///
    /// An unknown tenant or an invalid tenant id is reported as failed. A tenant that is named twice counts once.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn migrate<I>(
        &self,
        tenants: I,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.run(Schemas::tenants(tenants), Job::Apply { to: options.to }, &options).await
    }

    /// Migrates only the shared schema.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn migrate_shared(&self, options: MigrateOptions) -> Result<MigrateReport, Error> {
        self.run(Schemas::Shared, Job::Apply { to: options.to }, &options).await
    }

    /// Reverts all migrations above a version, the latest first, with their `.down.sql` files. 0 reverts everything
    /// above version 0.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn revert(
        &self,
        schemas: Schemas,
        to: i64,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        self.run(schemas, Job::Revert { to }, &options).await
    }

    /// Records the files up to a version, or all files, as applied without running them: for schemas that were
    /// created in another way or repaired by hand.
    ///
    /// A dirty version counts as applied afterwards, and a version whose file was edited is recorded with the file's
    /// current checksum. A tenant with an invalid index that such a file builds concurrently is reported as
    /// [failed](super::FailureReason::InvalidIndex), and nothing is recorded for it.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn mark_applied(
        &self,
        schemas: Schemas,
        to: Option<i64>,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        self.run(schemas, Job::Mark { to, only_first: false }, &options).await
    }

    /// Deletes the records of migrations that have no file. The objects that they created stay.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn forget_orphans(
        &self,
        schemas: Schemas,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        self.run(schemas, Job::ForgetOrphans, &options).await
    }

    /// Clears the failure of migrations outside a transaction, so that the next run continues with the failed
    /// statement. Earlier statements are not run again.
    ///
    /// Fix the cause of the failure first. An index that the statement builds concurrently, and a constraint that it
    /// declares `not valid`, can stay half made: the next run drops and recreates them. An index that was created or
    /// repaired by hand meanwhile counts as created.
    ///
    /// The file can be edited, except for the statements that already ran. If those were edited, if the record does
    /// not identify them, or if one of them created something that ended with its session, the record is deleted and
    /// the next run starts with the first statement; [`BegunFile::remark`](super::BegunFile::remark) announces this.
    /// To continue a migration that was being reverted, call [`revert`](Self::revert).
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn forget_dirty(
        &self,
        schemas: Schemas,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        self.run(schemas, Job::ForgetDirty { whole: false }, &options).await
    }

    /// Deletes the records of migrations outside a transaction that have not completed, so that the next run starts
    /// with their first statement: for schemas whose partial changes were undone by hand.
    ///
    /// # Errors
    ///
    /// As [`migrate_all`](Self::migrate_all).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate_all`](Self::migrate_all).
    pub async fn restart_dirty(
        &self,
        schemas: Schemas,
        options: MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        self.run(schemas, Job::ForgetDirty { whole: true }, &options).await
    }

    /// Computes what a run would do and what blocks it, without writing anything: the dry run, and the status.
    ///
    /// For all tenants, the plan includes the shared schema if it has migrations.
    ///
    /// # Errors
    ///
    /// If the tenants cannot be listed or the database cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn plan(
        &self,
        schemas: Schemas,
        options: &MigrateOptions,
    ) -> Result<MigrationPlan, Error> {
        let began = Instant::now();
        options.check()?;
        let job = Job::Apply { to: options.to };
        let (mut shared, mut lint, mut stray) = (None, LintReport::default(), Vec::new());
        if let (Schemas::AllTenants | Schemas::Shared, Some(set)) = (&schemas, &self.shared) {
            if schemas == Schemas::Shared {
                Self::check_version(job, set)?;
            }
            let surveyed = self.survey(job, &Schemas::Shared).await?;
            lint.extend(look(Of::Shared, job, set, &surveyed, options));
            shared = self.statuses(set, surveyed, options).await?.into_iter().next();
            stray.extend_from_slice(set.stray());
        }
        let tenants = match schemas {
            Schemas::Shared => Vec::new(),
            _ => {
                let set = self.set(&schemas)?;
                Self::check_version(job, set)?;
                let surveyed = self.survey_for(job, &schemas, options).await?;
                lint.extend(look(Of::Tenant, job, set, &surveyed, options));
                stray.extend_from_slice(set.stray());
                self.statuses(set, surveyed, options).await?
            }
        };
        let plan = MigrationPlan::new(shared, tenants, began.elapsed());
        Ok(plan.with_lint(lint).with_stray(stray))
    }

    /// Compares schemas with the files, and reads additional information.
    async fn statuses(
        &self,
        set: &Migrations,
        surveyed: Surveyed,
        options: &MigrateOptions,
    ) -> Result<Vec<SchemaStatus>, Error> {
        let closer = self.look_closer(&surveyed).await?;
        let with_closer = surveyed.into_iter().zip(closer).map(|((target, recorded), closer)| {
            let (closer, recorded) = match closer {
                Ok(closer) => (closer, recorded),
                Err(failure) => (Closer::default(), Err(failure)),
            };
            status(&self.fleet, set, (target, recorded), closer, options)
        });
        Ok(with_closer.collect())
    }

    /// Reads the additional information for a status of each schema that has records.
    async fn look_closer(
        &self,
        surveyed: &Surveyed,
    ) -> Result<Vec<Result<Closer, Failure>>, Failure> {
        let homes = surveyed.iter().map(|(target, recorded)| match recorded {
            Ok(_) => target.home(),
            Err(_) => None,
        });
        let look = |fleet: Fleet, places: Vec<usize>| async move {
            let surveyed = places.iter().map(|place| &surveyed[*place]);
            let schemas = surveyed.filter_map(|(target, recorded)| {
                Some((&target.site.as_ref().ok()?.schema, recorded.as_ref().ok()?))
            });
            survey::look_closer(&fleet, &schemas.collect::<Vec<_>>()).await
        };
        let mut closer: Vec<_> = surveyed.iter().map(|_| Ok(Closer::default())).collect();
        for in_home in in_each_home(&self.fleet, homes, look).await? {
            in_home.scatter(&mut closer, Ok, Failure::in_home);
        }
        Ok(closer)
    }

    /// Does a job in these schemas.
    async fn run(
        &self,
        schemas: Schemas,
        job: Job,
        options: &MigrateOptions,
    ) -> Result<MigrateReport, Error> {
        let began = Instant::now();
        options.check()?;
        Self::check_version(job, self.set(&schemas)?)?;
        if schemas == Schemas::Shared {
            let (end, shared, lint) = self.run_shared(job, options).await?;
            let report = MigrateReport::new(end, Some(shared), Vec::new(), began.elapsed());
            return Ok(report.with_lint(lint).with_aim(job.aim()));
        }
        let set = self.set(&schemas)?;
        let surveyed = self.survey_for(job, &schemas, options).await?;
        let lint = self.prepare(job, set, &surveyed, options)?;
        // Without its type: the futures of callers would be too deep for the compiler.
        let (end, tenants) = self.order(job, set, options).over(surveyed).boxed().await;
        let report = MigrateReport::new(end, None, tenants, began.elapsed());
        Ok(report.with_lint(lint).with_aim(job.aim()))
    }

    async fn run_shared(
        &self,
        job: Job,
        options: &MigrateOptions,
    ) -> Result<(End, TenantMigration, LintReport), Error> {
        let set = self.set(&Schemas::Shared)?;
        let surveyed = self.survey(job, &Schemas::Shared).await?;
        let lint = refuse(look(Of::Shared, job, set, &surveyed, options), "")?;
        let (end, mut results) = self.order(job, set, options).over(surveyed).boxed().await;
        let missing = || Error::new(ErrorKind::Migration, "migrating the shared schema");
        results.pop().map(|shared| (end, shared, lint)).ok_or_else(missing)
    }

    pub(super) fn order<'a>(
        &'a self,
        job: Job,
        set: &'a Migrations,
        options: &'a MigrateOptions,
    ) -> Order<'a> {
        Order { fleet: &self.fleet, job, set, options, memory: None }
    }

    pub(super) fn set(&self, schemas: &Schemas) -> Result<&Migrations, Error> {
        let (set, whose) = match schemas {
            Schemas::Shared => (&self.shared, "the shared schema"),
            Schemas::AllTenants | Schemas::Tenants(_) => (&self.tenants, "tenants"),
        };
        let none = || Error::new(ErrorKind::Config, format!("there are no migrations for {whose}"));
        set.as_ref().ok_or_else(none)
    }

    /// Reads the migration records of these schemas.
    async fn survey(&self, job: Job, schemas: &Schemas) -> Result<Surveyed, Error> {
        let row_tenants = match job {
            Job::Apply { .. } => RowTenants::Together,
            // What is done to the records, or undone, concerns tenants that were not named.
            _ => RowTenants::NotByName,
        };
        let targets = targets_of(&self.fleet, schemas, row_tenants).await?;
        self.refuse_two_sets_in_one_schema(&targets)?;
        Ok(self.survey_of(targets).await?)
    }

    /// Refuses to run two sets of files in the shared schema, which has one table of migration records.
    pub(super) fn refuse_two_sets_in_one_schema(&self, targets: &[Target]) -> Result<(), Error> {
        let (Some(tenants), Some(shared)) = (&self.tenants, &self.shared) else { return Ok(()) };
        let has_rows = targets.iter().any(|target| target.row_tenants.is_some());
        if !has_rows
            || !self.fleet.lookup().rows_are_in_shared_schema()
            || tenants.hash() == shared.hash()
        {
            return Ok(());
        }
        let schema = self.fleet.shared_site().schema;
        let attempted = format!(
            "schema {schema} holds the tables of all tenants that are isolated by row, and has shared migrations, too: \
             its table of records cannot tell their versions apart; put the tenants' tables into another schema with \
             Rows::schema, or all files into one folder"
        );
        Err(Error::new(ErrorKind::Config, attempted))
    }

    /// Reads the migration records of these schemas, and sets aside those in which the job must not run files.
    pub(super) async fn survey_for(
        &self,
        job: Job,
        schemas: &Schemas,
        options: &MigrateOptions,
    ) -> Result<Surveyed, Error> {
        let mut surveyed = self.survey(job, schemas).await?;
        if matches!(job, Job::Apply { .. }) {
            self.put_aside(&mut surveyed, schemas, options);
        }
        Ok(surveyed)
    }

    /// Sets aside tenants' schemas that hold tables but no records.
    pub(super) fn put_aside(
        &self,
        surveyed: &mut Surveyed,
        schemas: &Schemas,
        options: &MigrateOptions,
    ) {
        let found = match schemas {
            Schemas::AllTenants if self.fleet.lookup().finds_schemas() => Found::ByName,
            Schemas::AllTenants | Schemas::Tenants(_) => Found::Listed,
            // It holds the catalog, and possibly other tables of the application.
            Schemas::Shared => return,
        };
        put_aside(surveyed, |target| self.found(target, found), options.without_records);
    }

    /// Returns how a schema became part of a run.
    fn found(&self, target: &Target, otherwise: Found) -> Found {
        match target.row_tenants {
            None => otherwise,
            Some(_) if self.fleet.lookup().rows_are_in_shared_schema() => Found::WithOthers,
            Some(_) => Found::Listed,
        }
    }

    /// Reads the migration records of these targets. A database that cannot be read concerns its tenants only, unless
    /// it is the manager's.
    pub(super) async fn survey_of(&self, targets: Vec<Target>) -> Result<Surveyed, Failure> {
        let of = &targets;
        let read = |fleet: Fleet, places: Vec<usize>| async move {
            let sites = places.iter().map(|place| of[*place].site.as_ref());
            let schemas: Vec<_> = sites.flatten().map(|site| &site.schema).collect();
            survey::read(&fleet, &schemas).await
        };
        let unread = |target: &Target| match &target.site {
            Ok(_) => Err(Failure::schema_missing()),
            Err(error) => Err(Failure::from(error)),
        };
        let mut recorded: Vec<_> = targets.iter().map(unread).collect();
        let homes = targets.iter().map(Target::home);
        for in_home in in_each_home(&self.fleet, homes, read).await? {
            in_home.scatter(&mut recorded, |found| found, Failure::in_home);
        }
        Ok(targets.into_iter().zip(recorded).collect())
    }

    /// Checks that the target version of a job has a file.
    fn check_version(job: Job, set: &Migrations) -> Result<(), Error> {
        let to = match job {
            Job::Apply { to } | Job::Mark { to, .. } => to,
            Job::Revert { to } => Some(to),
            Job::ForgetOrphans | Job::ForgetDirty { .. } => None,
        };
        to.map_or(Ok(()), |version| set.check_version(version))
    }

    /// Checks that the job can start. Returns the warnings.
    fn prepare(
        &self,
        job: Job,
        set: &Migrations,
        surveyed: &Surveyed,
        options: &MigrateOptions,
    ) -> Result<LintReport, Error> {
        let known = |name: &String| surveyed.iter().any(|(target, _)| *target.name == **name);
        if let Some(stranger) = options.canary.iter().find(|name| !known(name)) {
            let attempted = format!(
                "canary {stranger:?} is not one of the tenants to migrate; all tenants that are isolated by row are \
                 one, {ROWS}"
            );
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        refuse(look(Of::Tenant, job, set, surveyed, options), "")
    }
}

/// Lints the files, each according to what the job does with it in these schemas.
pub(super) fn look(
    of: Of,
    job: Job,
    set: &Migrations,
    surveyed: &Surveyed,
    options: &MigrateOptions,
) -> LintReport {
    if !HAS_PARSER {
        tracing::info!("the migration lint uses tokens only: this build lacks the feature `lint`");
    }
    let mut scope = Scope::new(job, set, options.leniency());
    for (_, recorded) in surveyed {
        scope.add(recorded.as_ref().ok().map(|recorded| &*recorded.applied));
    }
    set.look(of, &|version| scope.fate(version))
}

/// Returns an error if findings block a run, and the warnings otherwise.
fn refuse(report: LintReport, hint: &str) -> Result<LintReport, Error> {
    if report.is_success() {
        return Ok(report);
    }
    let error = report.into_result().err();
    let why = error.as_ref().map(ToString::to_string).unwrap_or_default();
    let refused = Error::new(ErrorKind::Migration, format!("nothing was run: {why}{hint}"));
    Err(match error {
        Some(error) => refused.with_source(error),
        None => refused,
    })
}

/// Lints all files, because a new schema gets all of them.
pub(crate) fn lint_all(of: Of, set: &Migrations) -> Result<(), Error> {
    let report = match of {
        Of::Tenant => set.check(),
        Of::Shared => set.check_shared(),
    };
    // It is unknown which of them were already applied.
    let advice = report.advice();
    refuse(report, advice).map(drop)
}

/// Lints a SQL file that runs in a transaction in one schema.
pub(crate) fn check_sql(
    site: &Site,
    name: &Arc<str>,
    sql: &SqlStr,
    lint: &Lint,
) -> Result<(), LintError> {
    let of = if site.tenant.is_some() { Of::Tenant } else { Of::Shared };
    let text = sql.as_str();
    let subject = Subject { text, of, transactional: true, version: 0 };
    let lint = lint.clone().reaching(site.occupant.binding.of_extensions());
    let found = check(&lint, &subject);
    let mut report = LintReport::default();
    for finding in found.list.into_iter().filter(|finding| !finding.rule.is_warning()) {
        let file = Arc::clone(name);
        report.errors.push(FileFinding { file, version: 0, applied: false, finding });
    }
    report.into_result().map(drop)
}

pub(super) fn not_begun(fleet: &Fleet, target: &Target) -> TenantMigration {
    let outcome = match &target.site {
        Ok(_) => Outcome::NotStarted,
        Err(error) => Outcome::Failed { error: Failure::from(error) },
    };
    TenantMigration::new(target.name_of_tenant(), target.schema(), outcome)
        .of_rows(target.row_tenants)
        .at(fleet.names_of(target.home()))
}

fn status(
    fleet: &Fleet,
    set: &Migrations,
    (target, recorded): (Target, Result<Recorded, Failure>),
    closer: Closer,
    options: &MigrateOptions,
) -> SchemaStatus {
    let (tenant_id, schema) = (target.name_of_tenant(), target.schema());
    let (server, database) = fleet.names_of(target.home());
    let row_tenants = target.row_tenants;
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(error) => {
            return SchemaStatus {
                tenant_id,
                schema,
                server,
                database,
                row_tenants,
                state: SchemaState::without(&error),
                applied: 0,
                pending: Vec::new(),
                problems: Vec::new(),
                begun: Vec::new(),
                invalid: Vec::new(),
                error: Some(error),
            };
        }
    };
    let applied = &recorded.applied;
    let problems = problems(set, applied, options.leniency());
    let to = options.to.unwrap_or(i64::MAX);
    let pending: Vec<_> = pending(set, applied)
        .filter(|file| file.version <= to)
        .map(|file| PendingFile { version: file.version, file: Arc::clone(&file.name) })
        .collect();
    SchemaStatus {
        tenant_id,
        schema,
        server,
        database,
        row_tenants,
        state: SchemaState::of(&problems, &pending),
        applied: applied.iter().filter(|row| row.success).count(),
        pending,
        problems,
        begun: closer.begun.iter().filter_map(|row| begun_file(set, row)).collect(),
        invalid: closer.invalid,
        error: None,
    }
}

fn begun_file(set: &Migrations, row: &Applied) -> Option<BegunFile> {
    let (version, remark) = (row.version, remark(set, row)?);
    let file = set.file(version).map(|file| Arc::clone(&file.name));
    Some(BegunFile { version, file, remark, goes_on: goes_on(set, row, Way::Up) })
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind(), "reading the migration records").because_of(failure)
    }
}
