//! What the app's handlers do.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tenantry::{Error, TenantManager, TenantTransaction};
use tokio::time::{sleep, timeout};

const TICK: Duration = Duration::from_millis(10);

/// Says `begun`, and when the manager is closing, `and ended`.
pub fn late(
    manager: &TenantManager,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let closing = manager.closing();
    let ended = stream::once(async move {
        closing.await;
        // Draining has begun by then.
        sleep(Duration::from_millis(100)).await;
        Ok("and ended".into())
    });
    stream::iter([Ok("begun ".into())]).chain(ended)
}

/// How many streams of [`large`] there are.
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// Counts a stream for as long as the server keeps it.
struct Counted;

impl Counted {
    fn new() -> Self {
        LARGE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LARGE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes 256 MiB.
pub fn large() -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let counted = Counted::new();
    stream::iter((0..4096).map(move |_| {
        let _ = &counted;
        Ok(Bytes::from_static(&CHUNK))
    }))
}

/// Waits until the server has let go of every stream of [`large`].
pub(super) async fn no_large_is_left() {
    while LARGE.load(Ordering::SeqCst) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Makes events until the manager is closing, and a last one that says so.
pub fn events(
    manager: &TenantManager,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let manager = manager.clone();
    async_stream::stream! {
        while timeout(TICK, manager.closing()).await.is_err() {
            yield Ok("data: tick\n\n".into());
        }
        yield Ok("data: bye\n\n".into());
    }
}

/// Makes events, and does not look whether the manager is closing.
pub fn endless() -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    async_stream::stream! {
        loop {
            yield Ok("data: tick\n\n".into());
            sleep(TICK).await;
        }
    }
}

/// Says `begun`, and nothing more.
pub fn silent() -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::iter([Ok("begun ".into())]).chain(stream::pending())
}

/// Adds a user that must not be there when the transaction is not committed.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn begin(tx: &mut TenantTransaction) -> Result<(), Error> {
    crate::work::begin_to_add(tx).await
}
