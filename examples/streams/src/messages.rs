//! The messages of a tenant: written and announced in one transaction, and followed from any point
//! on.

use std::future::pending;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tenantry::{Error, TenantId, TenantManager};
use tokio::sync::watch::Receiver;

use crate::news::{CHANNEL, News};

#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct New {
    pub(crate) text: String,
}

/// How many messages are read at a time.
const BATCH: usize = 100;

/// Writes a message. The server announces it only when the transaction commits.
///
/// Messages of a tenant are written one at a time, so ids are in commit order: a reader that has
/// read up to an id has missed no earlier message. Reading does not wait for this lock.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    text: &str,
) -> sqlx::Result<()> {
    sqlx::query("lock table messages in exclusive mode").execute(&mut *connection).await?;
    sqlx::query("insert into messages (text) values ($1)")
        .bind(text)
        .execute(&mut *connection)
        .await?;
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(tenant.map(TenantId::as_str))
        .execute(connection)
        .await?;
    Ok(())
}

/// Everything needed to follow the messages of tenants.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    pub(crate) manager: TenantManager,
    pub(crate) news: News,
}

/// A position in the messages of a tenant.
#[derive(Debug)]
pub(crate) struct Follower {
    manager: TenantManager,
    news: Receiver<()>,
    tenant: TenantId,
    last: i64,
}

impl Follow {
    /// Follows a tenant from the message after this one on.
    pub(crate) fn after(&self, tenant: &TenantId, last: i64) -> Follower {
        let mut news = self.news.of(tenant);
        // Existing messages count as new.
        news.mark_changed();
        Follower { manager: self.manager.clone(), news, tenant: tenant.clone(), last }
    }
}

impl Follower {
    /// Waits until there may be messages to read. It holds no connection, so it can be a branch of
    /// a `select!`.
    pub(crate) async fn wait(&mut self) {
        if self.news.changed().await.is_err() {
            pending().await
        }
    }

    /// Reads the next messages, if there are any. It looks up the tenant each time, so a suspended
    /// or dropped tenant is an error.
    ///
    /// It holds a connection while it runs: do not stop polling it midway to wait for something
    /// else.
    pub(crate) async fn read(&mut self) -> Result<Vec<Message>, Error> {
        let db = self.manager.tenant(self.tenant.clone()).await?;
        let query =
            sqlx::query_as("select id, text from messages where id > $1 order by id limit $2");
        let messages: Vec<Message> =
            query.bind(self.last).bind(BATCH as i64).fetch_all(&db).await?;
        self.last = messages.last().map_or(self.last, |message| message.id);
        if messages.len() == BATCH {
            self.news.mark_changed();
        }
        Ok(messages)
    }
}
