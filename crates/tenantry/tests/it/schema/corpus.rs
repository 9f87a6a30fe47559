//! A database in which every case has its schemas.

use tenantry_devdb::DevServer;

use super::{
    cases::{Case, SETTING},
    judge::build,
};
use crate::support::{connect, run, server_version};

/// All cases in one database of a server of their own, for roles belong to the server.
pub(crate) struct Corpus {
    /// Stops when dropped.
    server: DevServer,
    pub(crate) url: String,
    pub(crate) cases: Vec<Built>,
}

/// A case and the names of its schemas.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) case: Case,
    pub(crate) left: String,
    pub(crate) right: String,
    /// The right side after the change was taken back.
    pub(crate) undone: Option<String>,
}

impl Corpus {
    pub(crate) async fn build() -> Self {
        let server = server().await;
        let url = setting(&server, "cases").await;
        let mut admin = connect(&url).await;
        let mut cases = Vec::new();
        let mut problems = Vec::new();
        for (at, case) in Case::all(server_version(&mut admin).await).into_iter().enumerate() {
            let sides = [
                ("left", Some(case.left())),
                ("right", Some(case.right())),
                ("undone", case.undone()),
            ];
            let mut names = Vec::new();
            for (side, sql) in sides {
                let Some(sql) = sql else { continue };
                let name = format!("{side}_{at}");
                let sql = sql.replace("{left}", &format!("left_{at}"));
                match build(&mut admin, &name, &sql).await {
                    Ok(()) => names.push(name),
                    Err(error) if is_lacking(&error) => {}
                    Err(error) => problems.push(format!("{}: {side}: {error}", case.name)),
                }
            }
            let mut names = names.into_iter();
            if let (Some(left), Some(right)) = (names.next(), names.next()) {
                cases.push(Built { case, left, right, undone: names.next() });
            }
        }
        assert!(problems.is_empty(), "cases cannot be built:\n{}", problems.join("\n"));
        Self { server, url, cases }
    }
}

impl Corpus {
    /// Another database that holds the same. Nobody may be connected to the first.
    pub(crate) async fn copy(&self, name: &str) -> String {
        let url = self.server.create_database(&format!("{name}_by")).await.expect("it runs");
        let (server, _) = url.rsplit_once('/').expect("the URL names a database");
        run(&mut connect(&url).await, &format!("create database {name} template cases")).await;
        format!("{server}/{name}")
    }
}

/// A server of one's own, for roles and tablespaces belong to the server.
pub(crate) async fn server() -> DevServer {
    DevServer::start().await.expect("a server can be started")
}

/// Creates the first database that holds what the cases refer to.
pub(crate) async fn setting(server: &DevServer, name: &str) -> String {
    let url = server.create_database(name).await.expect("the server runs");
    let mut admin = connect(&url).await;
    run(&mut admin, SETTING).await;
    run(&mut admin, "set allow_in_place_tablespaces = on").await;
    run(&mut admin, "create tablespace zq_space location ''").await;
    url
}

/// Returns `true` if this build of PostgreSQL lacks a library that the case needs.
pub(crate) fn is_lacking(error: &sqlx::Error) -> bool {
    let text = error.to_string();
    ["ICU is not supported", "compression method lz4 not supported"]
        .iter()
        .any(|problem| text.contains(problem))
}
