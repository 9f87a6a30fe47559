//! A user of one tenant, and the statements about users. None of them names a tenant or a schema.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row, postgres::PgRow};
use tenantry::{TenantDb, TenantTransaction};
use uuid::Uuid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    id: Uuid,
    email: String,
    name: String,
    active: bool,
    created_at: DateTime<Utc>,
}

/// The output of `#[derive(FromRow)]`. sqlx's macros would compile sqlx twice, and prolong the
/// first build.
impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            active: row.try_get("active")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct NewUser {
    email: String,
    name: String,
}

/// Changes of a user; a missing field is left unchanged.
#[derive(Deserialize)]
pub(crate) struct UserChange {
    email: Option<String>,
    name: Option<String>,
    active: Option<bool>,
}

impl User {
    pub(crate) async fn all(db: &TenantDb) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as("select * from users order by created_at, email").fetch_all(db).await
    }

    pub(crate) async fn find(db: &TenantDb, id: Uuid) -> sqlx::Result<Option<Self>> {
        sqlx::query_as("select * from users where id = $1").bind(id).fetch_optional(db).await
    }

    pub(crate) async fn create(tx: &mut TenantTransaction, new: NewUser) -> sqlx::Result<Self> {
        sqlx::query_as("insert into users (email, name) values ($1, $2) returning *")
            .bind(new.email)
            .bind(new.name)
            .fetch_one(&mut **tx)
            .await
    }

    pub(crate) async fn update(
        db: &TenantDb,
        id: Uuid,
        change: UserChange,
    ) -> sqlx::Result<Option<Self>> {
        sqlx::query_as(
            "update users
             set email = coalesce($2, email), name = coalesce($3, name), active = coalesce($4, active)
             where id = $1
             returning *",
        )
        .bind(id)
        .bind(change.email)
        .bind(change.name)
        .bind(change.active)
        .fetch_optional(db)
        .await
    }

    /// Returns `true` if the user existed.
    pub(crate) async fn delete(db: &TenantDb, id: Uuid) -> sqlx::Result<bool> {
        let deleted = sqlx::query("delete from users where id = $1").bind(id).execute(db).await?;
        Ok(deleted.rows_affected() > 0)
    }
}
