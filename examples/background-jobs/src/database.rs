//! Where the data is, and what has to be there before the first job.

use std::env;

use tenantry::{Error, TableCatalog, TenantManager};
use tenantry_devdb::DevDatabase;

/// The tenants of this example, each with so many orders.
pub(crate) const TENANTS: [(&str, i64); 4] =
    [("acme", 3), ("globex", 5), ("initech", 2), ("hooli", 1)];

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

/// Creates what is missing: the tables that all share, and those of each tenant with some orders.
pub(crate) async fn prepare(manager: &TenantManager) -> Result<(), Error> {
    let shared = manager.shared();
    TableCatalog::default().create_table(shared).await?;
    sqlx::raw_sql(include_str!("../sql/shared.sql")).execute(shared).await?;
    for (tenant, orders) in TENANTS {
        let mut tx = manager.tenant(tenant).await?.begin().await?;
        sqlx::raw_sql(include_str!("../sql/tenant.sql")).execute(&mut *tx).await?;
        sqlx::query(
            "insert into orders
             select n, n * 10
             from generate_series(1, $1) n
             on conflict (id) do nothing",
        )
        .bind(orders)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(())
}
