//! A websocket: what the client sends becomes a message, and every message of the tenant is sent to it.

use std::{mem, pin::pin, time::Duration};

use axum::{
    Extension,
    extract::{
        Query, WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame, WebSocket, close_code},
    },
    response::Response,
};
use serde::Deserialize;
use tenantry::{Error, TenantId};
use tenantry_axum::CurrentTenant;
use tokio::time::{interval, timeout};

use crate::messages::{self, Follow, Follower};

/// The largest message that a client may send, in bytes.
const LARGEST: usize = 4096;

/// The ping interval, and the time that a client has to read what is sent to it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
pub(crate) struct Position {
    /// The id of the last message that the client has seen.
    #[serde(default)]
    after: i64,
}

pub(crate) async fn upgrade(
    CurrentTenant(tenant): CurrentTenant,
    Extension(follow): Extension<Follow>,
    Query(position): Query<Position>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let tenant = tenant.id().clone();
    upgrade.max_message_size(LARGEST).on_upgrade(async move |mut socket| {
        let (code, reason) = talk(&mut socket, follow, tenant, position.after).await;
        let close = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(PATIENCE, socket.send(close)).await;
    })
}

type End = (u16, &'static str);

/// Talks with a client until either side ends it. Returns the reason for the client.
///
/// No branch that `select!` can cancel holds a connection: statements run after it.
async fn talk(socket: &mut WebSocket, follow: Follow, tenant: TenantId, last: i64) -> End {
    let mut closing = pin!(follow.manager.closing());
    let mut follower = follow.after(&tenant, last);
    let mut ping = interval(PATIENCE);
    let mut is_there = true;
    loop {
        let next = tokio::select! {
            () = &mut closing => return (close_code::RESTART, "the service is stopping"),
            () = follower.wait() => send_all(socket, &mut follower).await,
            received = socket.recv() => {
                is_there = true;
                hear(received, &follow, &tenant).await
            }
            _ = ping.tick() => match mem::take(&mut is_there) {
                true => send(socket, Frame::Ping(Vec::new().into())).await,
                false => return (close_code::POLICY, "no answer to a ping"),
            },
        };
        if let Err(end) = next {
            return end;
        }
    }
}

async fn send_all(socket: &mut WebSocket, follower: &mut Follower) -> Result<(), End> {
    for message in follower.read().await.map_err(reason)? {
        let text = serde_json::to_string(&message);
        let text = text.map_err(|_| (close_code::ERROR, "a message cannot be sent"))?;
        send(socket, Frame::text(text)).await?;
    }
    Ok(())
}

async fn send(socket: &mut WebSocket, frame: Frame) -> Result<(), End> {
    match timeout(PATIENCE, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err((close_code::NORMAL, "")),
        Err(_) => Err((close_code::POLICY, "too slow")),
    }
}

async fn hear(
    received: Option<Result<Frame, axum::Error>>,
    follow: &Follow,
    tenant: &TenantId,
) -> Result<(), End> {
    match received {
        Some(Ok(Frame::Text(text))) => say(follow, tenant, &text).await.map_err(reason),
        Some(Ok(Frame::Binary(_))) => Err((close_code::UNSUPPORTED, "text only")),
        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(()),
        Some(Ok(Frame::Close(_)) | Err(_)) | None => Err((close_code::NORMAL, "")),
    }
}

/// Posts a message, with a separate handle and transaction.
async fn say(follow: &Follow, tenant: &TenantId, text: &str) -> Result<(), Error> {
    let db = follow.manager.tenant(tenant.clone()).await?;
    let insert = db.transaction(async |tx| messages::insert(tx, Some(tenant), text).await);
    Ok(insert.await?)
}

/// Returns a general reason; the details go to the log.
fn reason(error: Error) -> End {
    tracing::info!(%error, "a websocket has ended");
    if error.is_transient() {
        (close_code::AGAIN, "try again later")
    } else {
        (close_code::POLICY, "refused")
    }
}
