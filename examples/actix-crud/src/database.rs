//! Where the data is, and what has to be there before the first request.

use std::env;

use tenantry::{Error, TenantManager};
use tenantry_devdb::DevDatabase;

/// The tenants of this example.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// The database of `DATABASE_URL`, or else a throwaway one.
pub(crate) enum Database {
    Given(String),
    Throwaway(DevDatabase),
}

impl Database {
    pub(crate) async fn open() -> Result<Self, tenantry_devdb::Error> {
        match env::var("DATABASE_URL") {
            Ok(url) => Ok(Self::Given(url)),
            Err(_) => {
                tracing::info!("DATABASE_URL is not set, so a throwaway PostgreSQL is started");
                DevDatabase::create().await.map(Self::Throwaway)
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Throwaway(database) => database.url(),
        }
    }

    pub(crate) async fn close(self) -> Result<(), tenantry_devdb::Error> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Throwaway(database) => database.close().await,
        }
    }
}

/// Creates what is missing: schemas, tables and some rows.
pub(crate) async fn prepare(manager: &TenantManager) -> Result<(), Error> {
    let shared = manager.shared();
    sqlx::raw_sql(include_str!("../../axum-crud/sql/shared.sql")).execute(shared).await?;
    for tenant in TENANTS {
        // The statements name no schema: the tenant's own is the only one they find.
        let mut tx = manager.tenant(tenant).await?.begin().await?;
        sqlx::raw_sql(include_str!("../../axum-crud/sql/tenant.sql")).execute(&mut *tx).await?;
        for name in ["Ada", "Grace"] {
            sqlx::query("insert into users (email, name) values ($1, $2) on conflict do nothing")
                .bind(format!("{}@{tenant}.example", name.to_lowercase()))
                .bind(name)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
