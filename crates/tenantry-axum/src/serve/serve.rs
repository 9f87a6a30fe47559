use std::{convert::Infallible, fmt, io, pin::Pin, sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::Response,
    serve::{IncomingStream, Listener, ListenerExt, TapIo},
};
use tenantry::{
    TenantManager,
    serve::{ServeFuture, ServeOptions, ServeReport, Serving},
};
use tokio::{sync::oneshot, time::timeout};
use tower_service::Service;

use super::{
    connections::Connections,
    cut::MakeCuttable,
    guarded::{Guarded, GuardedIo},
};

/// The listener type that an app sees with [`serve()`].
///
/// [Connect info](axum::Router::into_make_service_with_connect_info) is the listener's
/// [`Addr`](Listener::Addr), which is `SocketAddr` for TCP. For more, such as the credentials of a
/// Unix socket's peer, serve a listener with a custom `Addr`. axum allows no other type here,
/// because its implementation of [`Connected`](axum::extract::connect_info::Connected) for
/// [`TapIo`] covers all of them.
pub type Listening<L> = TapIo<Guarded<L>, fn(&mut GuardedIo<<L as Listener>::Io>)>;

/// Serves an app until the process is told to stop, then drains it and closes the manager.
///
/// It accepts the same arguments as [`axum::serve()`]: any [`Listener`] (TCP or Unix socket), and a
/// `Router`, a method router, or one of them with [connect info](Listening). Awaiting it runs the
/// server:
///
/// 1. SIGTERM or Ctrl-C (or [`stop_when`](Serve::stop_when), or [`TenantManager::begin_closing`]) stops it:
///    [`TenantManager::closing`] resolves, and `/readyz` answers 503.
/// 2. After the [`ready_delay`](Serve::ready_delay), the server accepts no more connections and closes idle ones.
/// 3. Requests in flight have the [`drain`](Serve::drain) time. The remaining connections are then cut: half-sent
///    requests, slow readers, endless streams. Their handlers are dropped and their
///    transactions rolled back.
/// 4. The manager is [closed](TenantManager::close_within). Of several servers that share a manager, the last to
///    drain closes it.
///
/// A second signal ends all of it at once; see
/// [`ServeEnd::Forced`](tenantry::serve::ServeEnd::Forced). Websockets and server-sent events
/// should select on [`TenantManager::closing`]; otherwise they are cut at the deadline.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tenantry::TenantManager;
/// use tenantry_axum::{Db, DbError, TenantLayer};
///
/// async fn count(Db(db): Db) -> Result<String, DbError> {
///     let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
///     Ok(users.to_string())
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tenantry_axum::bind("127.0.0.1:3000").await?;
/// let manager = TenantManager::builder("postgres://app@localhost/saas").build()?;
/// let app = Router::new().route("/users", get(count)).layer(TenantLayer::new(manager.clone()));
/// tenantry_axum::serve(listener, app, &manager).drain(Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// The future fails if signal handlers cannot be installed.
///
/// # Cancel safety
///
/// If the future is dropped, the manager is not closed and open connections are still served, as
/// with [`axum::serve()`].
pub fn serve<L, M, S>(listener: L, app: M, manager: &TenantManager) -> Serve<L, M>
where
    L: Listener,
    M: for<'a> Service<IncomingStream<'a, Listening<L>>, Error = Infallible, Response = S>,
{
    Serve { listener, app, manager: manager.clone(), options: ServeOptions::default() }
}

/// A server that has not started yet, created by [`serve()`]. Awaiting it runs the server.
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L, M> {
    listener: L,
    app: M,
    manager: TenantManager,
    options: ServeOptions,
}

tenantry::serve_options_of_framework!(impl[L: Listener, M] Serve<L, M>);

impl<L: Listener, M> Serve<L, M> {
    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    ///
    /// If the operating system cannot report it.
    pub fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

impl<L, M, S> IntoFuture for Serve<L, M>
where
    L: Listener,
    L::Addr: fmt::Debug,
    M: for<'a> Service<IncomingStream<'a, Listening<L>>, Error = Infallible, Response = S>
        + Send
        + 'static,
    for<'a> <M as Service<IncomingStream<'a, Listening<L>>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Output = io::Result<ServeReport>;
    type IntoFuture = ServeFuture;

    fn into_future(self) -> Self::IntoFuture {
        let Self { listener, app, manager, options } = self;
        if let Ok(address) = listener.local_addr() {
            tracing::info!("listening on {address:?}");
        }
        let connections = Arc::new(Connections::default());
        let guarded = Guarded::new(listener, Arc::clone(&connections));
        let (drain, draining) = oneshot::channel::<()>();
        let server = axum::serve(guarded.tap_io((|_| ()) as fn(&mut _)), MakeCuttable(app))
            .with_graceful_shutdown(async move { drop(draining.await) })
            .into_future();
        let serving =
            AxumServing { server: Some(Box::pin(server)), drain: Some(drain), connections };
        Box::pin(async move { options.run(&manager, serving).await })
    }
}

impl<L: fmt::Debug, M> fmt::Debug for Serve<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// axum's server, as seen by the shutdown.
struct AxumServing {
    /// `None` once it has ended.
    server: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
    drain: Option<oneshot::Sender<()>>,
    connections: Arc<Connections>,
}

/// How long cut connections may take to end. A handler runs until its next `.await`.
const LAST_STEP: Duration = Duration::from_secs(1);

impl Serving for AxumServing {
    async fn ended(&mut self) -> io::Result<()> {
        if let Some(server) = &mut self.server {
            let ended = server.await;
            self.server = None;
            ended?;
        }
        // axum does not wait for upgraded connections.
        self.connections.emptied().await;
        Ok(())
    }

    fn drain(&mut self) {
        if let Some(drain) = self.drain.take() {
            let _ = drain.send(());
        }
    }

    async fn cut(&mut self) -> Option<usize> {
        let cut = self.connections.cut();
        if timeout(LAST_STEP, self.ended()).await.is_err() {
            tracing::warn!("some handlers did not end when their connections were closed");
        }
        Some(cut)
    }
}
