//! A session or token of one tenant opens no other.

mod closure;
mod session;
mod token;

use actix_web::http::StatusCode;
use tenantry::TenantDb;
use tenantry_actix::DbError;

use crate::support::{Answer, TestServer, World, ask};

/// The id that a migration has inserted as the administrator of every tenant.
const ADMIN: &str = "00000000-0000-4000-8000-000000000001";

/// Two tenants whose administrators differ in nothing but the name.
const ADMINS: &str = "
    create table tenant_acme.admins (id uuid primary key, name text not null);
    create table tenant_globex.admins (id uuid primary key, name text not null);
    insert into tenant_acme.admins values ('00000000-0000-4000-8000-000000000001', 'Ada');
    insert into tenant_globex.admins values ('00000000-0000-4000-8000-000000000001', 'Grace');
";

async fn world_with_admins() -> World {
    let world = World::new().await;
    let mut connection = world.admin().await;
    sqlx::raw_sql(ADMINS).execute(&mut connection).await.expect("the server is running");
    world
}

/// Reads the name of the administrator with this id.
async fn name_of(db: &TenantDb, id: &str) -> Result<String, DbError> {
    let query = sqlx::query_scalar("select name from admins where id = $1::uuid");
    Ok(query.bind(id).fetch_one(db).await?)
}

/// Asks who is signed in, as a tenant, with one more header.
async fn who_am_i(app: &TestServer, tenant: &str, header: Option<(&str, &str)>) -> Answer {
    let mut request = format!("GET /me HTTP/1.1\r\nhost: x\r\nx-tenant-id: {tenant}");
    if let Some((name, value)) = header {
        request = format!("{request}\r\n{name}: {value}");
    }
    ask(app, request).await
}

fn assert_served(answer: &Answer, name: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, name));
}

fn assert_not_bound(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert_eq!(answer.problem_type(), "not-bound");
}
