use std::process::Stdio;

use tenantry::outline::ServerOutline;
use tenantry_devdb::DevDatabase;

use crate::{
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

    /// Copies what a tenant may refer to: the shared schema with its rows, and the extensions with their schemas.
    pub(super) async fn copy_shared(
        &self,
        on: &Context,
        server: &ServerOutline,
    ) -> Result<(), Failure> {
        let outline = on.manager()?.database_outline().await?;
        let shared = on.settings.text(&key::SHARED_SCHEMA).into_iter();
        let extensions = outline.extensions.iter().map(|extension| extension.schema.as_str());
        let configured = on.settings.list(&key::EXTENSION_SCHEMAS).iter().map(String::as_str);
        let mut schemas: Vec<_> = shared.chain(extensions).chain(configured).collect();
        schemas.sort_unstable();
        schemas.dedup();
        schemas.retain(|name| outline.schema(name).is_some());
        if schemas.is_empty() {
            return Ok(());
        }
        let mut dump = Child::new(&Program::for_server("pg_dump", server)?, &self.live)
            .arg("--format=custom")
            .arg("--extension=*")
            .stdout(Stdio::piped());
        for schema in schemas {
            let schema = tenantry::Ident::parse(schema)?;
            dump = dump.arg(format!("--schema={}", super::super::dump::pattern(&schema)));
        }
        let mut dump = dump.start()?;
        // The new database has a schema `public` of its own.
        let restore = self.pg_restore(server)?.arg("--clean").arg("--if-exists");
        let restore = restore.stdin(dump.take_stdout()?).start()?;
        let (dumped, restored) = tokio::join!(dump.wait(|_| ()), restore.wait(|_| ()));
        dumped.and(restored).map(drop).map_err(|failure| {
            Failure::new(format!("copying the shared schema: {failure}"))
                .hint("--no-shared leaves it out, for dumps that do not refer to it")
        })
    }

    pub(super) async fn restore(
        &self,
        archive: &Archive,
        server: &ServerOutline,
        flags: &[(bool, &str)],
        on_table: impl FnMut(&str),
    ) -> Result<Ran, Failure> {
        let mut restore = self.pg_restore(server)?.arg("--verbose");
        for (_, flag) in flags.iter().filter(|(is_given, _)| *is_given) {
            restore = restore.arg(flag);
        }
        let ran = restore.arg("--").arg(&archive.path).run(on_table).await;
        ran.map_err(|failure| {
            let text = failure.to_string();
            let is_about_roles = text.contains("role ") && text.contains("does not exist");
            match is_about_roles {
                true => failure.hint("create the role, or give --no-owner and --no-acl"),
                false => failure,
            }
        })
    }

    fn pg_restore(&self, server: &ServerOutline) -> Result<Child, Failure> {
        let program = Program::for_server("pg_restore", server)?;
        let restore = Child::new(&program, &self.connection).arg("--single-transaction");
        let name = format!("--dbname={}", self.database.name());
        Ok(restore.arg("--exit-on-error").arg(name))
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        let name = self.database.name().to_owned();
        self.database.close().await.map_err(|error| {
            Failure::while_doing(format_args!("the scratch database {name} is left"), &error)
        })
    }
}
