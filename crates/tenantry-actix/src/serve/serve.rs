use std::{fmt, io};

use actix_http::{Request, Response};
use actix_service::IntoServiceFactory;
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Server, ServerHandle, Service, ServiceFactory},
};
use tenantry::{
    TenantManager,
    serve::{ServeFuture, ServeOptions, ServeReport, Serving},
};

/// actix itself never times out: the deadline is [`Serve::drain`].
const NO_LIMIT_OF_ACTIX: u64 = 365 * 24 * 60 * 60;

/// Serves an app until the process is told to stop, then drains it and closes the manager.
///
/// It takes an [`HttpServer`] that is bound but not running, and replaces its signal handling and
/// its [`shutdown_timeout`](HttpServer::shutdown_timeout). Awaiting it drives the server:
///
/// 1. SIGTERM or Ctrl-C (or [`stop_when`](Serve::stop_when), or [`TenantManager::begin_closing`]) stops it:
///    [`TenantManager::closing`] resolves, and `/readyz` answers 503.
/// 2. After the [`ready_delay`](Serve::ready_delay), the server accepts no more connections and closes idle ones.
/// 3. Requests in flight have the [`drain`](Serve::drain) time. The remaining connections are then cut: half-sent
///    requests, slow readers, endless streams. Their handlers are dropped and their
///    transactions rolled back. actix does not report how many there were.
/// 4. The manager is [closed](TenantManager::close_within). Of several servers that share a manager, the last to
///    drain closes it.
///
/// actix checks its workers once a second, so draining takes up to one second longer than the last
/// request. A second signal ends all of it at once; see
/// [`ServeEnd::Forced`](tenantry::serve::ServeEnd::Forced). Websockets and server-sent events
/// should select on [`TenantManager::closing`]; otherwise they are cut at the deadline.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use actix_web::{App, HttpServer, web};
/// use tenantry::TenantManager;
/// use tenantry_actix::{Db, DbError, TenantMiddleware};
///
/// async fn count(Db(db): Db) -> Result<String, DbError> {
///     let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
///     Ok(users.to_string())
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tenantry_actix::bind("127.0.0.1:3000")?;
/// let manager = TenantManager::builder("postgres://app@localhost/saas").build()?;
/// let of_workers = manager.clone();
/// let server = HttpServer::new(move || {
///     App::new()
///         .wrap(TenantMiddleware::new(of_workers.clone()))
///         .route("/users", web::get().to(count))
/// })
/// .listen(listener)?;
/// tenantry_actix::serve(server, &manager).drain(Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// The future fails if signal handlers cannot be installed, or the server fails.
///
/// # Panics
///
/// Like [`HttpServer::run`]: outside of a runtime, or if the server is not bound to any address.
///
/// # Cancel safety
///
/// If the future is dropped, the server stops at once, and the manager is not closed.
pub fn serve<F, I, S, B>(server: HttpServer<F, I, S, B>, manager: &TenantManager) -> Serve
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    for address in server.addrs() {
        tracing::info!("listening on {address}");
    }
    let server = server.disable_signals().shutdown_timeout(NO_LIMIT_OF_ACTIX).run();
    Serve { server, manager: manager.clone(), options: ServeOptions::default() }
}

/// A server that accepts connections but is not driven yet, created by [`serve()`]. Await it at
/// once.
#[must_use = "a server must be awaited"]
pub struct Serve {
    server: Server,
    manager: TenantManager,
    options: ServeOptions,
}

tenantry::serve_options_of_framework!(impl[] Serve);

impl Serve {
    /// Returns the handle that pauses and resumes the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<ServeReport>;
    type IntoFuture = ServeFuture;

    fn into_future(self) -> Self::IntoFuture {
        let Self { server, manager, options } = self;
        let serving = ActixServing { handle: server.handle(), server: Some(server) };
        Box::pin(async move { options.run(&manager, serving).await })
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("options", &self.options).finish_non_exhaustive()
    }
}

/// actix's server, as seen by the shutdown.
struct ActixServing {
    /// `None` once it has ended.
    server: Option<Server>,
    handle: ServerHandle,
}

impl Serving for ActixServing {
    async fn ended(&mut self) -> io::Result<()> {
        let Some(server) = &mut self.server else { return Ok(()) };
        let ended = server.await;
        self.server = None;
        ended
    }

    fn drain(&mut self) {
        // The command is sent at once; the dropped future would only wait for the end.
        drop(self.handle.stop(true));
    }

    async fn cut(&mut self) -> Option<usize> {
        // Its workers end at once, with all of their connections and handlers.
        self.server = None;
        None
    }
}
