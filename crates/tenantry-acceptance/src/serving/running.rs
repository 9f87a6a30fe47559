//! A server in this process.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tenantry::{
    TenantManager,
    serve::{ServeEnd, ServeOptions, ServeReport, bind},
};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use super::{ServedApp, Serves};
use crate::{client::Connection, stage::offline};

/// The drain time of cases in which it is not used up.
pub(super) const AMPLE: Duration = Duration::from_secs(30);
/// The drain time of cases in which it is.
pub(super) const SHORT: Duration = Duration::from_millis(300);
/// How much longer than it should something may take: actix looks once a second whether it is done, and machines are
/// busy.
pub(super) const SLACK: Duration = Duration::from_secs(4);

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) manager: TenantManager,
    begun: Arc<Notify>,
    stop: Arc<Notify>,
    serving: JoinHandle<io::Result<ServeReport>>,
}

impl Running {
    /// Serves an app whose database is not there.
    pub(super) fn start<S: Serves>(drain: Duration) -> Self {
        Self::with::<S>(offline(), ServeOptions::default().drain(drain))
    }

    pub(super) fn with<S: Serves>(manager: TenantManager, options: ServeOptions) -> Self {
        let listener = bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop).notified_owned();
        let app = ServedApp::new(manager.clone());
        let begun = Arc::clone(&app.begun);
        let options = options.signals(false).stop_when(stopped);
        let serving = tokio::spawn(S::serve(listener, app, options));
        Self { address, manager, begun, stop, serving }
    }

    pub(super) async fn connect(&self) -> Connection {
        Connection::open_at(self.address).await
    }

    /// Sends a request, and leaves the connection open.
    pub(super) async fn send(&self, head: &str) -> Connection {
        let mut connection = self.connect().await;
        connection.write(format!("{head}\r\nhost: x\r\n\r\n").as_bytes()).await;
        connection
    }

    /// Sends three of the ten bytes of a body, to a handler that reads it.
    pub(super) async fn half_a_body(&self) -> Connection {
        let mut client = self.connect().await;
        client.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123").await;
        self.wait_until_begun().await;
        client
    }

    /// Waits until a handler has begun.
    pub(super) async fn wait_until_begun(&self) {
        timeout(SLACK, self.begun.notified()).await.expect("the handler begins");
    }

    /// Tells the server to stop.
    pub(super) fn tell(&self) {
        self.stop.notify_one();
    }

    /// Tells the server to stop, and goes on.
    pub(super) fn stop(self) -> Stopping {
        self.tell();
        self.stops()
    }

    /// Goes on with a server that stops for another reason.
    pub(super) fn stops(self) -> Stopping {
        Stopping { began: Instant::now(), address: self.address, serving: self.serving }
    }
}

/// A server that was told to stop.
pub(super) struct Stopping {
    pub(super) began: Instant,
    pub(super) address: SocketAddr,
    serving: JoinHandle<io::Result<ServeReport>>,
}

impl Stopping {
    /// Waits for the report.
    pub(super) async fn report(self) -> ServeReport {
        let report = timeout(AMPLE, self.serving).await.expect("the server ends");
        let report = report.expect("it does not panic").expect("it does not fail");
        assert!(!Connection::listens_at(self.address).await, "it still listens");
        report
    }

    /// Waits for the end of a server that has answered all requests, long before the deadline.
    pub(super) async fn drained(self) -> ServeReport {
        let report = self.report().await;
        assert_eq!(report.end, ServeEnd::Drained, "{report}");
        assert!(report.drain < SLACK, "{report}");
        report
    }

    /// Waits for the end of a server that has cut one connection, not before the [deadline](SHORT) and not long
    /// after. Returns what the client has read.
    pub(super) async fn cut(self, mut client: Connection) -> String {
        let text = client.until_closed().await;
        let took = self.began.elapsed();
        assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}: {text}");
        self.cut_report().await;
        text
    }

    /// Waits for the report of such a server.
    pub(super) async fn cut_report(self) -> ServeReport {
        let report = self.report().await;
        assert_eq!(report.end, ServeEnd::Cut, "{report}");
        assert!(matches!(report.cut, None | Some(1)), "{report}");
        assert!(report.drain >= SHORT && report.drain < SHORT + SLACK, "{report}");
        report
    }
}
