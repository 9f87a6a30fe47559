use std::{any::Any, fmt, marker::PhantomData, net::SocketAddr};

use tenantry::{IsolationKind, TenantManager};

use crate::resolver::Resolver;

/// How many bytes the app reads of a body.
pub const BODY_LIMIT: usize = 1_000;

/// What an adapter's test does for the suite.
pub trait Adapter {
    /// The kind of isolation of the app's tenants.
    const KIND: IsolationKind = IsolationKind::Schema;

    /// Serves [the app](crate#the-app) on a free port of `127.0.0.1`, over HTTP/1.1 and, for clients that
    /// begin with it, HTTP/2.
    ///
    /// A handler is to be dropped when its client closes the connection, where that is something to be
    /// chosen.
    fn serve(app: App) -> impl Future<Output = Server>;
}

/// An adapter whose app has tenants with rows in tables of all tenants.
#[derive(Debug)]
pub struct InRows<A>(PhantomData<A>);

impl<A: Adapter> Adapter for InRows<A> {
    const KIND: IsolationKind = IsolationKind::Row;

    async fn serve(app: App) -> Server {
        A::serve(app).await
    }
}

/// An adapter whose app has tenants with databases of their own.
#[derive(Debug)]
pub struct InDatabases<A>(PhantomData<A>);

impl<A: Adapter> Adapter for InDatabases<A> {
    const KIND: IsolationKind = IsolationKind::Database;

    async fn serve(app: App) -> Server {
        A::serve(app).await
    }
}

/// What differs between the apps that the suite asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct App {
    /// Whose tenants are served.
    pub manager: TenantManager,
    /// How the tenant is found.
    pub resolver: Resolver,
}

impl App {
    pub(crate) fn new(manager: TenantManager, resolver: Resolver) -> Self {
        Self { manager, resolver }
    }
}

/// A server that runs until the value is dropped.
pub struct Server {
    address: SocketAddr,
    _running: Box<dyn Any + Send + Sync>,
}

impl Server {
    /// Takes what stops the server when it is dropped.
    pub fn new(address: SocketAddr, running: impl Any + Send + Sync) -> Self {
        Self { address, _running: Box::new(running) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
