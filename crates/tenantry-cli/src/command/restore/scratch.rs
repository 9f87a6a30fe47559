use std::process::Stdio;

use tenantry::{Ident, outline::ServerOutline};
use tenantry_devdb::DevDatabase;

use crate::{
    command::dump::pattern,
    context::Context,
    failure::Failure,
    postgres::{Archive, Child, Connection, Program, Ran},
    settings::key,
};

/// A database on the same server that a dump is restored into. It is dropped with the value.
#[derive(Debug)]
pub(super) struct Scratch {
    database: DevDatabase,
    live: Connection,
    pub(super) connection: Connection,
}

impl Scratch {
    pub(super) async fn create(live: &Connection) -> Result<Self, Failure> {
        let database = DevDatabase::create_at(&live.url()).await.map_err(|error| {
            Failure::while_doing("creating a scratch database", &error)
                .hint("the role needs the attribute CREATEDB; upkeep.user names another role")
        })?;
        let connection = live.clone().set("dbname", Some(database.name()));
        Ok(Self { database, live: live.clone(), connection })
    }

    /// Copies what a tenant can refer to: the shared schema with its rows, and the extensions with their schemas.
    ///
    /// Copies as much as the role is allowed to: an extension that only a superuser can create is often irrelevant.
    /// Returns what could not be copied, for the error of a restore that needed it.
    pub(super) async fn copy_shared(
        &self,
        on: &Context,
        server: &ServerOutline,
    ) -> Result<Option<String>, Failure> {
        let outline = on.manager()?.database_outline().await?;
        let shared = on.settings.text(&key::SHARED_SCHEMA).into_iter();
        let extensions = outline.extensions.iter().map(|extension| extension.schema.as_str());
        let configured = on.settings.list(&key::EXTENSION_SCHEMAS).iter().map(String::as_str);
        let mut schemas: Vec<_> = shared.chain(extensions).chain(configured).collect();
        schemas.sort_unstable();
        schemas.dedup();
        schemas.retain(|name| outline.schema(name).is_some());
        if schemas.is_empty() {
            return Ok(None);
        }
        let mut dump = Child::new(&Program::for_server("pg_dump", server)?, &self.live)
            .arg("--format=custom")
            .arg("--extension=*")
            .stdout(Stdio::piped());
        for schema in schemas {
            dump = dump.arg(format!("--schema={}", pattern(&Ident::parse(schema)?)));
        }
        let mut dump = dump.start()?;
        let mut restore = self.pg_restore(server)?.stdin(dump.take_stdout()?);
        for flag in ["--no-owner", "--no-acl", "--no-comments"] {
            restore = restore.arg(flag);
        }
        let restore = restore.start()?;
        let (dumped, restored) = tokio::join!(dump.wait(|_| ()), restore.wait(|_| ()));
        let failed = dumped.and(restored).err().map(|failure| failure.to_string());
        Ok(failed.filter(|said| !is_about_public_alone(said)))
    }

    pub(super) async fn restore(
        &self,
        archive: &Archive,
        server: &ServerOutline,
        flags: &[(bool, &str)],
        on_table: impl FnMut(&str),
    ) -> Result<Ran, Failure> {
        let mut restore = self.pg_restore(server)?.arg("--verbose");
        restore = restore.arg("--single-transaction").arg("--exit-on-error");
        for (_, flag) in flags.iter().filter(|(is_given, _)| *is_given) {
            restore = restore.arg(flag);
        }
        let ran = restore.arg("--").arg(&archive.path).run(on_table).await;
        ran.map_err(|failure| {
            let text = failure.to_string();
            let is_about_roles = text.contains("role ") && text.contains("does not exist");
            match is_about_roles {
                true => failure.hint("create the role, or use --no-owner and --no-acl"),
                false => failure,
            }
        })
    }

    fn pg_restore(&self, server: &ServerOutline) -> Result<Child, Failure> {
        let program = Program::for_server("pg_restore", server)?;
        let restore = Child::new(&program, &self.connection);
        Ok(restore.arg(format!("--dbname={}", self.database.name())))
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        let name = self.database.name().to_owned();
        self.database.close().await.map_err(|error| {
            Failure::while_doing(format_args!("the scratch database {name} remains"), &error)
        })
    }
}

/// Returns `true` if the only error is that a new database already has a schema `public`, which is harmless.
fn is_about_public_alone(said: &str) -> bool {
    said.contains("schema \"public\" already exists")
        && said.ends_with("errors ignored on restore: 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_every_database_has_is_no_error() {
        let said = "pg_restore ended with exit status: 1: could not execute query: ERROR:  schema \"public\" already \
                    exists; Command was: CREATE SCHEMA public;; warning: errors ignored on restore: ";
        assert!(is_about_public_alone(&format!("{said}1")));
        assert!(!is_about_public_alone(&format!("{said}2")));
        assert!(!is_about_public_alone("pg_dump ended with exit status: 1: permission denied"));
    }
}
