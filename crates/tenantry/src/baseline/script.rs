//! The first migration for a schema that has no files yet.

use super::likeness::{differences, is_of_files, without_records};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{Failure, Migrations, TenantMigrator},
    provision::each_version,
    reading::read_with_fingerprint,
    schema::{Attribute, Difference, ObjectKind, SchemaModel, read::Subject, unqualified},
    tenant::Ident,
};

/// A migration that recreates a schema in its current form.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "it is not written anywhere"]
pub struct BaselineScript {
    /// The schema that it was created from.
    pub schema: String,
    /// The text of the migration. It names no schema, owner or grant.
    pub sql: String,
    /// Number of tables that it creates.
    pub tables: usize,
    /// Parts of the schema that the migration does not create: grants, default privileges, objects
    /// that are not part of a dump.
    pub left_out: Vec<String>,
    /// Differences between the migration's result and the schema. Empty if the two differ only in
    /// owners and grants.
    pub differences: Vec<Difference>,
}

/// The version and name under which a script is tested.
const TRIAL: (i64, &str) = (1, "baseline");

impl TenantMigrator {
    /// Writes a migration that recreates a schema in its current form: the first file of a service
    /// whose schemas were created by another tool, so that new tenants get the same.
    ///
    /// The statements are those of [`SchemaModel::ddl`], without the schema's name, owners and
    /// grants, and without the table `_sqlx_migrations`. The text is run in a scratch schema, and
    /// the result is compared with the schema. Names of other schemas, such as those of extensions,
    /// remain: configure them in the [`Lint`](crate::migrate::Lint).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
    /// let script = manager.migrator().baseline_script("tenant_acme").await?;
    /// assert!(script.differences.is_empty());
    /// std::fs::write("migrations/0001_baseline.sql", script.sql)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when the name is not a valid schema name,
    /// [`Placement`](ErrorKind::Placement) when there is no such schema,
    /// [`Migration`](ErrorKind::Migration) when the text cannot run in a scratch schema, for
    /// example because functions name their schema.
    ///
    /// # Cancel safety
    ///
    /// Only the scratch schema is changed. It may remain when the future is dropped; the next call
    /// removes it.
    pub async fn baseline_script(&self, schema: &str) -> Result<BaselineScript, Error> {
        let schema = Ident::parse(schema).map_err(|error| {
            let attempted = "writing a baseline: not a valid schema name";
            Error::new(ErrorKind::Config, attempted).with_source(error)
        })?;
        let fleet = self.fleet();
        let subject = Subject { schema: schema.clone(), role: None };
        let (_, found) = read_with_fingerprint(fleet, &subject).await?;
        let found = without_records(found);
        let left_out = left_out(&found);
        let sql = text(&found, &left_out);
        let tables = found.of_kind(ObjectKind::Table).count();
        let differences = tried(fleet, &schema, &found, &sql).await?;
        Ok(BaselineScript {
            schema: schema.as_str().to_owned(),
            sql,
            tables,
            left_out,
            differences,
        })
    }
}

/// Runs the text in a scratch schema, and returns the differences of the result.
async fn tried(
    fleet: &Fleet,
    schema: &Ident,
    found: &SchemaModel,
    sql: &str,
) -> Result<Vec<Difference>, Error> {
    let (version, name) = TRIAL;
    let trial = Migrations::of_text(version, name, sql.to_owned()).map_err(|error| {
        Error::new(ErrorKind::Migration, "reading the baseline").with_source(error)
    })?;
    let mut differing = Vec::new();
    let mut show = |version: Option<i64>, made: &SchemaModel| {
        if version.is_some() {
            differing = differences(found, &without_records(made.clone()));
        }
    };
    if let Some(failure) = each_version(fleet, &trial, &mut show).await? {
        return Err(cannot_run(schema, failure));
    }
    Ok(differing)
}

fn cannot_run(schema: &Ident, failure: Failure) -> Error {
    let attempted = format!("the baseline of {schema} cannot run in another schema");
    Error::new(ErrorKind::Migration, attempted).with_source(failure)
}

/// Returns the statements without those that a migration must not contain.
fn text(model: &SchemaModel, left_out: &[String]) -> String {
    let mut bare = model.clone();
    bare.objects.retain(|key, _| is_of_files(key, None));
    for object in bare.objects.values_mut() {
        object.remove(Attribute::Grants);
        object.remove(Attribute::Owner);
    }
    let mut text = String::from("-- The schema at the time of adoption.\n");
    for line in left_out {
        text.push_str(&format!("-- Left out: {}\n", line.replace(['\n', '\r'], " ")));
    }
    text.push_str(&unqualified(&bare));
    text
}

/// Lists the parts of a schema that a migration does not create.
fn left_out(model: &SchemaModel) -> Vec<String> {
    let has_grants = model
        .objects
        .iter()
        .filter(|(key, object)| is_of_files(key, None) && object.get(Attribute::Grants).is_some())
        .count();
    let mut left_out = Vec::new();
    if has_grants > 0 {
        let objects = if has_grants == 1 { "object" } else { "objects" };
        left_out.push(format!("grants on {has_grants} {objects}"));
    }
    let around = [
        (ObjectKind::DefaultPrivileges, "default privileges"),
        (ObjectKind::SecurityLabel, "security labels"),
    ];
    for (kind, words) in around {
        let count = model.of_kind(kind).count();
        if count > 0 {
            left_out.push(words.to_owned());
        }
    }
    left_out.extend(model.beyond.iter().map(ToString::to_string));
    left_out
}
