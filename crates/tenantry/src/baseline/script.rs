//! The first migration of a schema for which there are no files yet.

use super::likeness::{differences, is_of_files, without_records};
use crate::{
    error::{Error, ErrorKind},
    migrate::{Failure, Migrations, TenantMigrator},
    provision::each_version,
    reading::read_with_fingerprint,
    schema::{Attribute, Difference, ObjectKind, SchemaModel, read::Subject, unqualified},
    tenant::Ident,
};

/// A migration that makes a schema as it is now.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "it is not written anywhere"]
pub struct BaselineScript {
    /// The schema that it was made of.
    pub schema: String,
    /// The text of the migration. No schema, owner or grant is named in it.
    pub sql: String,
    /// Tables that it makes.
    pub tables: usize,
    /// What the schema has and the migration does not make: grants, default privileges, what is no part of a dump.
    pub left_out: Vec<String>,
    /// How what the migration makes differs from the schema. It is empty when a schema that the migration has made can
    /// be told from this one by nothing but owners and grants.
    pub differences: Vec<Difference>,
}

/// The version and name under which a script is tried.
const TRIAL: (i64, &str) = (1, "baseline");

impl TenantMigrator {
    /// Writes the migration that makes a schema as it is now: the first file of a service whose schemas another tool has
    /// made, so that new tenants get the same.
    ///
    /// The statements are those of [`SchemaModel::ddl`], without the schema's name, owners and grants; the table
    /// `_sqlx_migrations` is left out. The text is run in a scratch schema, and what it makes is compared with the
    /// schema. Names of other schemas stay in it, as those of extensions: tell the
    /// [`Lint`](crate::migrate::Lint) of them.
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
    /// [`Config`](ErrorKind::Config) when it is no name of a schema, [`Placement`](ErrorKind::Placement) when there is no
    /// such schema, [`Migration`](ErrorKind::Migration) when the text cannot run in a scratch schema, such as one whose
    /// functions name their schema.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed but the scratch schema, which may stay when it is dropped; the next call removes it.
    pub async fn baseline_script(&self, schema: &str) -> Result<BaselineScript, Error> {
        let schema = Ident::parse(schema).map_err(|error| {
            let attempted = "writing a baseline: what is given is no name of a schema";
            Error::new(ErrorKind::Config, attempted).with_source(error)
        })?;
        let fleet = self.fleet();
        let subject = Subject { schema: schema.clone(), role: None };
        let (_, found) = read_with_fingerprint(fleet, &subject).await?;
        let found = without_records(found);
        let left_out = left_out(&found);
        let sql = text(&found, &left_out);
        let tables = found.of_kind(ObjectKind::Table).count();
        let (version, name) = TRIAL;
        let trial = Migrations::of_text(version, name, sql.clone()).map_err(|error| {
            Error::new(ErrorKind::Migration, "reading the baseline").with_source(error)
        })?;
        let mut differing = Vec::new();
        let mut show = |version: Option<i64>, made: &SchemaModel| {
            if version.is_some() {
                differing = differences(&found, &without_records(made.clone()));
            }
        };
        if let Some(failure) = each_version(fleet, &trial, &mut show).await? {
            return Err(cannot_run(&schema, failure));
        }
        Ok(BaselineScript {
            schema: schema.as_str().to_owned(),
            sql,
            tables,
            left_out,
            differences: differing,
        })
    }
}

fn cannot_run(schema: &Ident, failure: Failure) -> Error {
    let attempted = format!("what was written of {schema} cannot run in another schema");
    Error::new(ErrorKind::Migration, attempted).with_source(failure)
}

/// Returns the statements without what a migration must not say.
fn text(model: &SchemaModel, left_out: &[String]) -> String {
    let mut bare = model.clone();
    bare.objects.retain(|key, _| is_of_files(key, None));
    for object in bare.objects.values_mut() {
        object.remove(Attribute::Grants);
        object.remove(Attribute::Owner);
    }
    let mut text = String::from("-- What the schema held when it was taken over.\n");
    for line in left_out {
        text.push_str(&format!("-- Left out: {}\n", line.replace(['\n', '\r'], " ")));
    }
    text.push_str(&unqualified(&bare));
    text
}

/// Says what of a schema a migration does not make.
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
