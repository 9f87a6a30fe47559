//! The notes of a tenant, over gRPC and over HTTP.

use async_stream::try_stream;
use axum::Json;
use futures_util::{StreamExt as _, stream::BoxStream};
use tenantry::TenantDb;
use tenantry_axum::{Db, DbError};
use tonic::{Request, Response, Status};

use crate::{
    api::{ListNotes, NewNote, Note, notes_server::Notes},
    status::failed,
};

/// How many notes are read at a time.
const PAGE: usize = 100;

/// The gRPC service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service;

#[tonic::async_trait]
impl Notes for Service {
    type ListStream = BoxStream<'static, Result<Note, Status>>;

    async fn add(&self, request: Request<NewNote>) -> Result<Response<Note>, Status> {
        let db = db_of(&request)?;
        let text = request.into_inner().text;
        let insert = "insert into notes (text) values ($1) returning id, text";
        let note = sqlx::query_as(insert).bind(text).fetch_one(&db).await.map_err(failed)?;
        Ok(Response::new(note))
    }

    /// Reads page by page, so a slow client holds no connection meanwhile.
    async fn list(
        &self,
        request: Request<ListNotes>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let db = db_of(&request)?;
        let notes = try_stream! {
            let mut last = 0;
            loop {
                let page = page(&db, last).await.map_err(failed)?;
                let is_last = page.len() < PAGE;
                for note in page {
                    last = note.id;
                    yield note;
                }
                if is_last {
                    break;
                }
            }
        };
        Ok(Response::new(notes.boxed()))
    }
}

/// Returns the handle that the layer put into the request's extensions.
fn db_of<T>(request: &Request<T>) -> Result<TenantDb, Status> {
    let db = request.extensions().get::<TenantDb>().cloned();
    db.ok_or_else(|| Status::internal("there is no TenantLayer around this service"))
}

async fn page(db: &TenantDb, after: i64) -> sqlx::Result<Vec<Note>> {
    let notes = "select id, text from notes where id > $1 order by id limit $2";
    sqlx::query_as(notes).bind(after).bind(PAGE as i64).fetch_all(db).await
}

/// Returns the first notes over HTTP, on the same port.
pub(crate) async fn first(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    let notes = page(&db, 0).await?;
    Ok(Json(notes.into_iter().map(|note| note.text).collect()))
}
