//! Where the data is, and what has to be there before the first request.

use std::env;

use tenantry::{Error, TenantManager};
use tenantry_devdb::DevDatabase;

/// The tenants of this example, each with its members. Grace is a member of both.
const TENANTS: [(&str, &[&str]); 2] = [("acme", &["ada", "grace"]), ("globex", &["grace", "bob"])];

/// The database of `DATABASE_URL`, or else a throwaway one.
pub(crate) enum Database {
    Given(String),
    Throwaway(DevDatabase),
}

impl Database {
    pub(crate) async fn open() -> Result<Self, tenantry_devdb::Error> {
        match env::var("DATABASE_URL") {
            Ok(url) => Ok(Self::Given(url)),
            Err(_) => DevDatabase::create().await.map(Self::Throwaway),
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
    sqlx::raw_sql(include_str!("../sql/shared.sql")).execute(manager.shared()).await?;
    for (tenant, members) in TENANTS {
        let mut tx = manager.tenant(tenant).await?.begin().await?;
        sqlx::raw_sql(include_str!("../sql/tenant.sql")).execute(&mut *tx).await?;
        sqlx::query("insert into notes values ($1) on conflict do nothing")
            .bind(format!("a note of {tenant}"))
            .execute(&mut *tx)
            .await?;
        sqlx::query("insert into members select unnest($1) on conflict do nothing")
            .bind(members)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(())
}
