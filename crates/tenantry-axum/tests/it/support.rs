//! A database with tenants in it, an application on top, and what tests ask it with.

use std::{
    cell::RefCell,
    io,
    sync::Once,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tenantry::{FixedCatalog, ManagerBuilder, TenantId, TenantManager, TenantRecord, TenantState};
use tenantry_devdb::DevDatabase;
use tower::ServiceExt;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A database of the test's own, with the tenants `acme`, `globex` and `initech`. Each has a table
/// `users` that holds the tenant's own name. `frozen` has one too, and is suspended.
pub(crate) struct World {
    pub(crate) database: DevDatabase,
}

pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "frozen"];

/// The SQL that makes the tenants.
pub(crate) const SETUP: &str = "
    create function pg_temp.add(tenant text) returns void language plpgsql as $$
    begin
        execute format('create schema %I', 'tenant_' || tenant);
        execute format('create table %I.users (name text primary key)', 'tenant_' || tenant);
        execute format('insert into %I.users values (%L)', 'tenant_' || tenant, tenant);
    end $$;
    select pg_temp.add(t) from unnest(array['acme', 'globex', 'initech', 'frozen']) t;
";

impl World {
    pub(crate) async fn new() -> Self {
        let database = DevDatabase::from_template(SETUP).await;
        Self { database: database.expect("a server can be started") }
    }

    pub(crate) fn builder(&self) -> ManagerBuilder {
        builder(self.database.url())
    }

    pub(crate) fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    /// A connection beside the pool.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.expect("the server is running")
    }
}

pub(crate) fn builder(database_url: &str) -> ManagerBuilder {
    let records = TENANTS.map(|tenant| {
        let record = TenantRecord::new(TenantId::parse(tenant).expect("the id is one"));
        match tenant {
            "frozen" => record.state(TenantState::Suspended),
            _ => record,
        }
    });
    TenantManager::builder(database_url).catalog(FixedCatalog::new(records))
}

/// A manager whose server is not there. Nothing is ever connected to it.
pub(crate) fn offline(tenants: impl IntoIterator<Item = &'static str>) -> TenantManager {
    let records = tenants
        .into_iter()
        .map(|tenant| TenantRecord::new(TenantId::parse(tenant).expect("the id is one")));
    TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(FixedCatalog::new(records))
        .acquire_timeout(Duration::from_millis(300))
        .build()
        .expect("the configuration is sound")
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Reads the body as a problem document, after checking that it is one.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let document: Value = serde_json::from_str(&self.body).expect("the body is JSON");
        assert_eq!(document["status"], self.status.as_u16(), "{document}");
        assert!(document["title"].is_string(), "{document}");
        document
    }

    /// The last part of the problem's type.
    pub(crate) fn problem_type(&self) -> String {
        let document = self.problem();
        let uri = document["type"].as_str().expect("a problem has a type");
        uri.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("a router never fails");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the body ends");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.into()).expect("the body is text"),
    }
}

/// Sends a request for a tenant.
pub(crate) async fn request(app: &Router, method: Method, path: &str, tenant: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-tenant-id", tenant)
        .body(Body::empty());
    send(app, request.expect("the request is sound")).await
}

pub(crate) async fn get(app: &Router, path: &str, tenant: &str) -> Answer {
    request(app, Method::GET, path, tenant).await
}

/// Sends a request that names no tenant.
pub(crate) async fn get_without_tenant(app: &Router, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty());
    send(app, request.expect("the request is sound")).await
}

/// Waits until a condition holds, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What this thread logs while the value lives.
///
/// One subscriber serves the whole program: with one a thread, tracing may take a call site that
/// another thread meets at the same time for one that nobody is interested in.
pub(crate) struct Log {}

static SUBSCRIBER: Once = Once::new();

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    pub(crate) fn capture() -> Self {
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(|| Writer)
                .init();
        });
        WRITTEN.set(Some(Vec::new()));
        Self {}
    }

    pub(crate) fn text(&self) -> String {
        WRITTEN.with_borrow(|written| {
            String::from_utf8_lossy(written.as_deref().unwrap_or_default()).into_owned()
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some(written) = written {
                written.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
