//! What the same API on axum and on actix-web has in common, besides its handlers: tenants, first rows, the meaning of
//! database errors, and the lines to try.

use tenantry::{TenantManager, seed::Seed};

/// The tenants.
pub const TENANTS: [&str; 2] = ["acme", "globex"];

/// The first users of every tenant. The statement names no schema: it finds only the tenant's own.
pub fn first_users() -> Seed {
    Seed::new("first users", |tx| {
        Box::pin(async move {
            let tenant = tx.tenant().map(ToString::to_string).unwrap_or_default();
            for name in ["Ada", "Grace"] {
                sqlx::query("insert into users (email, name) values ($1, $2)")
                    .bind(format!("{}@{tenant}.example", name.to_lowercase()))
                    .bind(name)
                    .execute(&mut **tx)
                    .await?;
            }
            Ok(())
        })
    })
}

/// Why the database refused the values of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A unique value exists already.
    Duplicate,
    /// A text is too long, or contains a zero byte.
    InvalidValue,
}

/// Returns why the database refused a value; `None` for every other error.
#[must_use]
pub fn refusal(error: &sqlx::Error) -> Option<Refusal> {
    let answer = error.as_database_error()?;
    if answer.is_unique_violation() {
        return Some(Refusal::Duplicate);
    }
    // Class 22: data exceptions.
    let is_data_exception = answer.code().is_some_and(|code| code.starts_with("22"));
    is_data_exception.then_some(Refusal::InvalidValue)
}

/// Returns the lines to try, which can be pasted unchanged. They are about a user of acme that exists.
pub async fn to_try(manager: &TenantManager) -> [(&'static str, String); 14] {
    let user = some_user(manager).await.unwrap_or_else(|| "{id}".to_owned());
    let of_acme = "-H 'x-tenant-id: acme'";
    let json = "-H 'content-type: application/json'";
    [
        ("the users of acme", format!("curl {{url}}/users {of_acme}")),
        ("the users of globex", "curl {url}/users -H 'x-tenant-id: globex'".to_owned()),
        (
            "a new user of acme",
            format!(
                "curl -X POST {{url}}/users {of_acme} {json} \\\n  \
                 -d '{{\"email\": \"john@acme.com\", \"name\": \"John Doe\"}}'"
            ),
        ),
        ("one user", format!("curl {{url}}/users/{user} {of_acme}")),
        (
            "the user has another name",
            format!(
                "curl -X PUT {{url}}/users/{user} {of_acme} {json} \\\n  \
                 -d '{{\"name\": \"John Updated\"}}'"
            ),
        ),
        ("the user is gone", format!("curl -X DELETE {{url}}/users/{user} {of_acme}")),
        (
            "the users, on a connection that was checked",
            format!("curl {{url}}/users-async {of_acme}"),
        ),
        ("what all tenants share", "curl {url}/plans".to_owned()),
        ("for people", "curl {url}/health".to_owned()),
        ("for load balancers", "curl {url}/readyz".to_owned()),
        ("for Prometheus", "curl {url}/metrics".to_owned()),
        ("each tenant's connections", "curl {url}/admin/pools".to_owned()),
        ("no tenant: 400", "curl -i {url}/users".to_owned()),
        ("an unknown tenant: 404", "curl -i {url}/users -H 'x-tenant-id: nobody'".to_owned()),
    ]
}

async fn some_user(manager: &TenantManager) -> Option<String> {
    let acme = manager.tenant("acme").await.ok()?;
    let first = sqlx::query_scalar("select id::text from users order by created_at, email limit 1");
    first.fetch_optional(&acme).await.ok()?
}
