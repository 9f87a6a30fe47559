//! Server-sent events.

use std::time::Duration;

use async_stream::stream;
use axum::{
    Extension,
    http::{HeaderMap, StatusCode},
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt};
use tenantry_axum::{CurrentTenant, DbError};

use crate::messages::Follow;

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Streams the tenant's messages. After a lost connection, a browser sends the id of the last event
/// that it received, and misses none.
pub(crate) async fn stream(
    CurrentTenant(tenant): CurrentTenant,
    Extension(follow): Extension<Follow>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, DbError> {
    let mut follower = follow.after(tenant.id(), last_event_id(&headers)?);
    let events = stream! {
        yield Ok(Event::default().retry(RETRY));
        loop {
            follower.wait().await;
            match follower.read().await {
                Ok(messages) => for message in messages {
                    yield Event::default().id(message.id.to_string()).json_data(message);
                },
                // The client reconnects, and is then told whether it may.
                Err(error) => {
                    tracing::info!(%error, "an event stream has ended");
                    return;
                }
            }
        }
    };
    let events = events.take_until(follow.manager.closing());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn last_event_id(headers: &HeaderMap) -> Result<i64, StatusCode> {
    let Some(id) = headers.get("last-event-id") else { return Ok(0) };
    id.to_str().ok().and_then(|id| id.parse().ok()).ok_or(StatusCode::BAD_REQUEST)
}
