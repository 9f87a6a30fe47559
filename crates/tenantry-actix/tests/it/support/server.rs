use std::net::SocketAddr;

use actix_web::dev::{Server, ServerHandle};

use super::Log;

/// A server with workers of its own, stopped when the value is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    /// What the workers log.
    pub(crate) log: Log,
}

impl TestServer {
    pub(crate) fn start(addresses: &[SocketAddr], server: Server, log: Log) -> Self {
        let handle = server.handle();
        tokio::spawn(server);
        Self { address: addresses[0], handle, log }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The command is sent at once; the future only waits until it is carried out.
        drop(self.handle.stop(false));
    }
}

/// Serves an app, which every worker makes anew, on a port of its own.
macro_rules! serve {
    ($app:expr) => {
        $crate::support::serve!($app, |server| server.workers(2))
    };
    ($app:expr, |$server:ident| $configured:expr) => {{
        let log = $crate::support::Log::default();
        let of_workers = log.clone();
        let $server = actix_web::HttpServer::new(move || {
            of_workers.capture();
            $app
        });
        let server = $configured.disable_signals().bind(("127.0.0.1", 0))?;
        $crate::support::TestServer::start(&server.addrs(), server.run(), log)
    }};
}

pub(crate) use serve;
