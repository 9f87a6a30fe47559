//! Maintains the database of a run alongside the tests: drops what they leave behind and creates new spares.

use std::{
    io::{self, Write as _},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tenantry::{Isolation, SchemaDiscovery, provision::Provisioner};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use crate::{
    Error, TestTenants,
    keep::{self, Outcome},
    kit, name, server,
};

/// The maximum time that the end of a test waits for the cleanup of the database.
const PATIENCE: Duration = Duration::from_secs(30);

/// The idle time without a test starting or ending before used spares are replaced, unless half of them are used:
/// migrations would take processor and server time from a test that starts.
const QUIET: Duration = Duration::from_millis(30);

/// A thread with a separate runtime, because tests and their runtimes come and go.
///
/// Its manager, which is already connected, creates the tenants of all tests.
pub(crate) struct Keeper {
    orders: UnboundedSender<Order>,
    provisioner: Provisioner,
}

/// The number of tests that can create a tenant concurrently without waiting.
const AT_ONCE: usize = 8;

enum Order {
    /// A test with these schemas has ended.
    Ended { test: String, schemas: Vec<String>, outcome: Outcome },
    /// A caller waits until there is nothing left to drop, or also nothing to refill.
    Tell { done: Sender<()>, refilled: bool },
    /// A spare was used.
    Claimed,
}

impl Keeper {
    pub(crate) async fn start(tenants: TestTenants, url: String) -> Result<Self, Error> {
        let (orders, received) = unbounded_channel();
        let (tell_ready, ready) = tokio::sync::oneshot::channel();
        let failed = || "starting a thread that looks after the database of the tests";
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let work = Work::start(&tenants, &url).await;
                let (work, result) = match work {
                    Ok(work) => {
                        let provisioner = work.provisioner.clone();
                        (Some(work), Ok(provisioner))
                    }
                    Err(error) => (None, Err(error)),
                };
                // There is no receiver if the test was cancelled; the next one finds the keeper running.
                drop(tell_ready.send(result));
                if let Some(work) = work {
                    work.run(received).await;
                }
            });
        };
        let thread = thread::Builder::new().name("tenantry-test".to_owned());
        thread.spawn(work).map_err(Error::from(failed()))?;
        let provisioner = ready.await.map_err(Error::from(failed()))??;
        Ok(Self { orders, provisioner })
    }

    /// Creates tenants whose schemas have the prefix of this [process](name::prefix_of_process).
    pub(crate) fn provisioner(&self) -> Provisioner {
        self.provisioner.clone()
    }

    /// Drops the schemas of a test, or keeps them if requested.
    pub(crate) fn test_ended(&self, test: String, schemas: Vec<String>, outcome: Outcome) {
        self.order(Order::Ended { test, schemas, outcome });
    }

    /// Replaces a spare that was used.
    pub(crate) fn claimed(&self) {
        self.order(Order::Claimed);
    }

    /// Blocks until all orders are processed.
    pub(crate) fn wait(&self, refilled: bool) {
        let (done, told): (_, Receiver<()>) = channel();
        self.order(Order::Tell { done, refilled });
        if told.recv_timeout(PATIENCE).is_err() {
            warn("the schemas of ended tests may not have been dropped");
        }
    }

    fn order(&self, order: Order) {
        // The receiver exists until the process ends.
        drop(self.orders.send(order));
    }
}

/// Writes past the captured output of a test, since it would be arbitrary which test that is.
fn warn(text: &str) {
    drop(writeln!(io::stderr(), "tenantry-test: {text}"));
}

/// The state of the thread.
struct Work {
    conn: PgConnection,
    provisioner: Provisioner,
    spares: usize,
}

impl Work {
    async fn start(tenants: &TestTenants, url: &str) -> Result<Self, Error> {
        let failed = "looking after the database of the tests";
        let mut conn = PgConnection::connect(url).await.map_err(Error::from(failed))?;
        kit::hold_process(&mut conn).await.map_err(Error::from(failed))?;
        let isolation = Isolation::schema(&format!("{}{{id}}", name::prefix_of_process()));
        let manager = tenants.builder(url).isolation(isolation).catalog(SchemaDiscovery::default());
        let manager = manager.max_connections_per_tenant(AT_ONCE).max_connections(AT_ONCE);
        let manager = manager.build().map_err(Error::from("configuring the manager"))?;
        if server::is_throwaway() {
            manager.assume_sessions_are_kept();
        }
        let provisioner = manager.provisioner().tenants(tenants.migrations.clone());
        Ok(Self { conn, provisioner, spares: tenants.spares })
    }

    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let (mut dropped, mut refilled_too) = (Vec::new(), Vec::new());
        let (mut claimed, mut swept) = (0, false);
        loop {
            let order = match claimed {
                0 => orders.recv().await.map(Some),
                _ => {
                    timeout(QUIET, orders.recv()).await.map_or(Some(None), |order| order.map(Some))
                }
            };
            let Some(mut next) = order else { return };
            let is_quiet = next.is_none();
            // Leftovers of tests come before new spares, because a test may wait for their removal.
            while let Some(order) = next {
                match order {
                    Order::Ended { test, schemas, outcome } => {
                        self.end(&test, &schemas, outcome).await;
                    }
                    Order::Claimed => claimed += 1,
                    Order::Tell { done, refilled: false } => dropped.push(done),
                    Order::Tell { done, refilled: true } => refilled_too.push(done),
                }
                next = orders.try_recv().ok();
            }
            tell(&mut dropped);
            let is_due = is_quiet || claimed * 2 >= self.spares || !refilled_too.is_empty();
            if claimed > 0 && is_due {
                claimed = 0;
                // A test then finds none, and runs its migrations, which reports the error.
                drop(self.provisioner.fill_spares(self.spares).await);
            }
            if !std::mem::replace(&mut swept, true) {
                // Another process may do the same; what is left is found the next time.
                if let Err(error) = kit::sweep(&mut self.conn).await {
                    warn(&format!("schemas of earlier processes may be left: {error}"));
                }
            }
            tell(&mut refilled_too);
        }
    }

    async fn end(&mut self, test: &str, schemas: &[String], outcome: Outcome) {
        for schema in schemas {
            let ended = match keep::is_kept(outcome) {
                true => kit::keep_schema(&mut self.conn, schema).await,
                false => kit::drop_schema(&mut self.conn, schema).await,
            };
            if let Err(error) = ended {
                warn(&format!("test {test} leaves the schema {schema}: {error}"));
            }
        }
    }
}

fn tell(waiting: &mut Vec<Sender<()>>) {
    for done in waiting.drain(..) {
        // The caller may have stopped waiting.
        let _ = done.send(());
    }
}
