use std::time::Duration;

use tenantry::{TenantManager, outline::DatabaseOutline};
use tokio::time::timeout;

use crate::failure::chain;

/// The timeout for the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Result of inspecting the database.
#[derive(Debug)]
pub(super) enum Look {
    NotWanted,
    NoUrl,
    Failed(String),
    Seen(Box<DatabaseOutline>),
}

impl Look {
    pub(super) fn outline(&self) -> Option<&DatabaseOutline> {
        match self {
            Self::Seen(outline) => Some(outline),
            _ => None,
        }
    }

    /// Returns why nothing could be read.
    pub(super) fn why_not(&self) -> Option<String> {
        match self {
            Self::NotWanted => Some("--no-look was given".to_owned()),
            Self::NoUrl => Some("no database was named".to_owned()),
            Self::Failed(why) => Some(why.clone()),
            Self::Seen(_) => None,
        }
    }
}

/// Inspects the database of a URL.
pub(super) async fn at(url: &str) -> Look {
    let manager = match TenantManager::builder(url).max_connections(2).build() {
        Ok(manager) => manager,
        Err(error) => return Look::Failed(chain(&error)),
    };
    let seen = timeout(PATIENCE, manager.database_outline()).await;
    manager.close_within(Duration::from_secs(1)).await;
    match seen {
        Ok(Ok(outline)) => Look::Seen(Box::new(outline)),
        Ok(Err(error)) => Look::Failed(chain(&error)),
        Err(_) => Look::Failed(format!("it has not answered for {} s", PATIENCE.as_secs())),
    }
}
