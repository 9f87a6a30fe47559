//! A schema with all files applied, which new tenants are copied from so that the files need not run for each of
//! them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::{PgConnection, Row};

use super::{
    CreateOptions, HowMade, Provisioner,
    answer::taken,
    commit::roll_back,
    distributed::{distribute, keep_plain},
    new_tenant::{New, Seeds},
    provisional::{self, Comment},
    unassigned::list,
};
use crate::{
    catalog::Site,
    citus::Sharding,
    clone::{PressError, Stamp, different_rows},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::{Migrations, try_lock},
    pool::{Lease, grant},
    reading::{read_with_fingerprint, subject_of},
    schema::{Attribute, ObjectKey, ObjectKind, compare, read::Subject},
    sql::Sql,
    tenant::Ident,
};

/// Tables that record when something was done, so that their rows always differ.
const NOTES: [&str; 1] = ["_sqlx_migrations"];

/// State of the template of a set of files.
#[derive(Debug, Clone)]
pub(super) enum Template {
    Fit(Arc<Stamp>),
    /// Copies would differ from the result of the files, with the reason.
    Unfit(Arc<str>),
}

impl Provisioner {
    /// Returns why tenants are not copies of a template, if that is known.
    pub(super) fn why_no_template(&self) -> Option<String> {
        match self.known_template().load()? {
            Template::Fit(_) => None,
            Template::Unfit(why) => Some(format!("the files were run, because {why}")),
        }
    }

    /// Returns the template of these files; the first call looks it up or creates it. Returns nothing if this is not
    /// possible now.
    async fn template(&self, set: &Migrations) -> Result<Option<Template>, Error> {
        let cell = self.known_template().cell();
        let made = cell.get_or_try_init(async || match self.find_template(set).await {
            Ok(Some(template)) => Ok(template),
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        });
        match made.await {
            Ok(template) => Ok(Some(template.clone())),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Returns the template of these files, if it is ready to be copied.
    pub(super) async fn template_at_hand(&self, set: &Migrations) -> Option<Arc<Stamp>> {
        match self.known_template().load() {
            Some(Template::Fit(stamp)) => return Some(stamp),
            Some(Template::Unfit(_)) => return None,
            None => {}
        }
        let mut lease = self.fleet.lease().await.ok()?;
        let there = list(&mut lease).await.ok()?;
        drop(lease);
        there.iter().any(|listed| listed.is_template_of(set.hash())).then_some(())?;
        match self.template(set).await {
            Ok(Some(Template::Fit(stamp))) => Some(stamp),
            _ => None,
        }
    }

    async fn find_template(&self, set: &Migrations) -> Result<Option<Template>, Error> {
        if self.fleet.server().places_for_upkeep() < 3 {
            let why = "the budget has no room for the connections that create a template";
            return Ok(Some(Template::Unfit(why.into())));
        }
        let mut lease = self.fleet.lease().await?;
        let there = list(&mut lease).await?;
        let ours = there.iter().find(|listed| listed.is_template_of(set.hash()));
        if let Some(ours) = ours {
            let stamp = self.read_stamp(&ours.schema, &mut lease).await?;
            return Ok(Some(Template::Fit(Arc::new(stamp))));
        }
        if !lock(&mut lease, set).await? {
            // Another process is creating it.
            return Ok(None);
        }
        let made = self.make_template(set, &mut lease).await;
        lease.settle().await;
        made.map(Some)
    }

    /// Runs the files twice and makes a template only if both runs are equal.
    async fn make_template(
        &self,
        set: &Migrations,
        conn: &mut PgConnection,
    ) -> Result<Template, Error> {
        let first = self.run_files(set).await?;
        let second = match self.run_files(set).await {
            Ok(second) => second,
            Err(error) => {
                self.give_up(Some(first.lease), &first.subject.schema, false).await;
                return Err(error);
            }
        };
        let judged = self.judge(&first, &second, conn).await;
        self.give_up(Some(second.lease), &second.subject.schema, false).await;
        let Run { subject, mut lease, .. } = first;
        let made = async {
            if let Some(why) = judged? {
                return Ok(Template::Unfit(why.into()));
            }
            let stamp = self.read_stamp(&subject.schema, conn).await?;
            let mut sql = Sql::default();
            provisional::comment(&mut sql, &subject.schema, Comment::Template(&self.note()));
            sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
            Ok(Template::Fit(Arc::new(stamp)))
        };
        let made = made.await;
        match &made {
            Ok(Template::Fit(_)) => lease.settle().await,
            _ => self.give_up(Some(lease), &subject.schema, false).await,
        }
        made
    }

    /// Runs all files in a scratch schema. The returned lease holds the schema's lock.
    async fn run_files(&self, set: &Migrations) -> Result<Run, Error> {
        let site = self.fleet.site_of(&provisional::new_name());
        let subject = Subject { schema: site.schema.clone(), role: None };
        let (role, options) = (self.fleet.server().role_of_manager(), CreateOptions::default());
        if set.needs_steps() {
            return self.run_files_in_steps(set, &site, role, &options).await;
        }
        let mut lease = self.fleet.lease_for(&site).await?;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", &site.schema);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        let made = async {
            let before = changed(&mut tx).await?;
            self.make_at_once(&mut tx, &site, role, &options, Sharding::Plain).await?;
            Ok(written_elsewhere(&before, &changed(&mut tx).await?, &site.schema))
        };
        match made.await {
            Ok(elsewhere) => Ok(Run { subject, lease: tx.commit_and_keep().await?, elsewhere }),
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    async fn run_files_in_steps(
        &self,
        set: &Migrations,
        site: &Site,
        role: Option<&Ident>,
        options: &CreateOptions,
    ) -> Result<Run, Error> {
        let mut lease = self.hold_new(site, role, Sharding::Plain).await?;
        if let Err(error) = self.make_in_steps(site, role, options, &mut lease).await {
            self.give_up(Some(lease), &site.schema, false).await;
            return Err(error);
        }
        // With several transactions, the tables that were written to are unknown.
        let shared = self.fleet.shared_site().schema;
        let elsewhere = set.may_name(&shared).then(|| shared.as_str().to_owned());
        let subject = Subject { schema: site.schema.clone(), role: None };
        Ok(Run { subject, lease, elsewhere })
    }

    /// Compares a schema with a second one, and returns why it is not a template.
    async fn judge(
        &self,
        first: &Run,
        second: &Run,
        conn: &mut PgConnection,
    ) -> Result<Option<String>, Error> {
        if let Some(elsewhere) = first.elsewhere.as_ref().or(second.elsewhere.as_ref()) {
            return Ok(Some(format!("they write to {elsewhere} for each tenant")));
        }
        let (_, one) = read_with_fingerprint(&self.fleet, &first.subject).await?;
        if one
            .get(&ObjectKey::new(ObjectKind::Schema, ""))
            .is_some_and(|own| own.get(Attribute::Comment).is_some())
        {
            return Ok(Some("they comment on the schema, where the template has its note".into()));
        }
        let (_, other) = read_with_fingerprint(&self.fleet, &second.subject).await?;
        if let Some(difference) = compare(&one, &other).into_iter().next() {
            return Ok(Some(format!("they do not create the same objects twice: {difference}")));
        }
        let different = different_rows(conn, &one, &first.subject, &second.subject, &NOTES).await?;
        Ok(different.map(|table| {
            format!("they do not insert the same rows into {table} twice, such as keys or times")
        }))
    }

    async fn read_stamp(&self, schema: &Ident, conn: &mut PgConnection) -> Result<Stamp, Error> {
        let subject = Subject { schema: schema.clone(), role: None };
        let (_, mut model) = read_with_fingerprint(&self.fleet, &subject).await?;
        // This is the template's note.
        if let Some(own) = model.objects.get_mut(&ObjectKey::new(ObjectKind::Schema, "")) {
            own.remove(Attribute::Comment);
        }
        Stamp::of(conn, subject, model).await
    }
}

/// Takes the lock for creating the template of these files, unless another session holds it.
async fn lock(conn: &mut PgConnection, set: &Migrations) -> sqlx::Result<bool> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
    sql.literal(&format!("the template of tenantry {}", set.hash())).text(", 7234619037115))");
    sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)
}

/// A schema in which the files were run.
struct Run {
    subject: Subject,
    lease: Lease,
    /// A table in another schema that they wrote to.
    elsewhere: Option<String>,
}

/// The number of rows changed by a session and not yet reported to the statistics system, by table.
type Changed = BTreeMap<String, i64>;

/// Counts the session's changes: in the open transaction, and in other recent ones.
async fn changed(conn: &mut PgConnection) -> Result<Changed, Error> {
    let query = sqlx::query_as(
        "select pg_catalog.concat(t.schemaname, '.', t.relname), \
           t.n_tup_ins operator(pg_catalog.+) t.n_tup_upd operator(pg_catalog.+) t.n_tup_del \
         from pg_catalog.pg_stat_xact_user_tables t \
         where t.n_tup_ins operator(pg_catalog.+) t.n_tup_upd operator(pg_catalog.+) t.n_tup_del operator(pg_catalog.>) 0",
    );
    let counted: Vec<(String, i64)> = query.persistent(false).fetch_all(conn).await?;
    Ok(counted.into_iter().collect())
}

/// Finds a table in a different schema whose rows were changed in between.
fn written_elsewhere(before: &Changed, after: &Changed, schema: &Ident) -> Option<String> {
    let own = format!("{schema}.");
    let mut others = after.iter().filter(|(table, _)| !table.starts_with(&own));
    let changed = others.find(|(table, count)| before.get(*table) != Some(*count));
    changed.map(|(table, _)| table.clone())
}

impl New<'_> {
    /// Creates the tenant as a copy of the template, unless there is none.
    pub(super) async fn with_template(&self, set: &Migrations) -> Result<Option<Seeds>, Error> {
        let Some(Template::Fit(stamp)) = self.provisioner.template(set).await? else {
            return Ok(None);
        };
        let mut tx = self.begin().await?;
        match self.press(&mut tx, &stamp).await {
            Ok(()) => self.finish(tx).await.map(Some),
            Err(error) => {
                let error = roll_back(tx, error).await;
                if error.kind() == ErrorKind::TenantExists {
                    return Err(error);
                }
                // The files decide.
                self.provisioner.known_template().forget();
                tell_not_copied(&stamp, &error);
                Ok(None)
            }
        }
    }

    async fn press(&self, tx: &mut TenantTransaction, stamp: &Stamp) -> Result<(), Error> {
        let to = subject_of(&self.provisioner.fleet, self.site).await?;
        keep_plain(&self.provisioner.fleet, tx).await?;
        press(tx, stamp, &to, self.options.lock_timeout).await?;
        self.look_here(tx).await?;
        if let Some(role) = self.role {
            let mut sql = Sql::default();
            grant(&mut sql, &self.site.schema, role);
            sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        }
        distribute(&self.provisioner.fleet, tx, &self.site.schema).await
    }
}

fn tell_not_copied(stamp: &Stamp, error: &Error) {
    tracing::warn!(
        target: "tenantry::provision",
        template = stamp.schema().as_str(),
        error = error as &dyn std::error::Error,
        "could not copy a template: running the files instead"
    );
}

/// Creates a copy of a template in the open transaction, and verifies it.
pub(super) async fn press(
    conn: &mut PgConnection,
    stamp: &Stamp,
    to: &Subject,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock_shared", stamp.schema());
    let is_kept: bool = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
    if !is_kept {
        return Err(Error::new(ErrorKind::Busy, "the template is being removed"));
    }
    let mut ended = 0;
    match stamp.press(conn, to, lock_timeout, &mut ended).await {
        Ok(()) => {}
        Err(PressError::Refused(error)) if ended == 0 => return Err(taken(error)),
        Err(PressError::Refused(error)) => return Err(error.into()),
        Err(PressError::Failed(error)) => return Err(error),
    }
    stamp.check_once(conn, to).await
}

/// How tenants are made is reported, too.
impl HowMade {
    /// Returns `true` if a remark on the template applies.
    pub(super) fn ran_files(self) -> bool {
        matches!(self, Self::AtOnce | Self::InSteps)
    }
}
