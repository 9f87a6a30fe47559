//! Reads the data for `top`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tenantry::{
    TenantManager,
    activity::{
        Activity, ActivityOptions, ActivityRates, Connections, ServerActivity, ServiceFigures,
        ServiceRates, SizeMethod, TenantSizes, Unseen,
    },
};
use tokio::time::Instant;

use super::model::{Look, Row, Slow};
use crate::{
    command::metrics::seconds, context::Context, failure::Failure, scrape::Service, settings::key,
};

/// The maximum age of sizes: reading them costs more than everything else.
const SIZES: Duration = Duration::from_secs(60);

/// The minimum age of sizes that lack those of a server, before they are read again.
const AGAIN: Duration = Duration::from_secs(5);

/// What the database cannot show unless sessions are named after their tenants.
const TENANTS_OF_SESSIONS: &str = "the tenants of sessions";

/// A service, if there is one, and the database.
pub(super) struct Source {
    manager: TenantManager,
    service: Option<Service>,
    before: Option<(ServiceFigures, Instant)>,
    activity: Option<Activity>,
    wants_sizes: bool,
    sizes: Option<TenantSizes>,
    sized: Option<Measured>,
}

/// An attempt to read the sizes.
struct Measured {
    at: Instant,
    /// The servers that did not answer.
    without: BTreeSet<Arc<str>>,
    /// Why there are none at all.
    error: Option<String>,
}

impl Measured {
    /// Returns `true` if they have to be read again, now that these servers answer.
    fn is_over(&self, now: Instant, answering: &BTreeSet<Arc<str>>) -> bool {
        let age = now.saturating_duration_since(self.at);
        let is_back = age >= AGAIN && !self.without.is_disjoint(answering);
        age >= SIZES || is_back
    }
}

impl Source {
    pub(super) fn new(on: &Context, url: Option<&str>, wants_sizes: bool) -> Result<Self, Failure> {
        let url = url.or_else(|| on.settings.text(&key::METRICS_URL));
        let service = url.map(Service::new).transpose()?;
        Ok(Self { service, ..Self::of(on.manager()?.clone(), wants_sizes) })
    }

    fn of(manager: TenantManager, wants_sizes: bool) -> Self {
        Self {
            manager,
            service: None,
            before: None,
            activity: None,
            wants_sizes,
            sizes: None,
            sized: None,
        }
    }

    /// Reads all data once.
    pub(super) async fn look(&mut self) -> Result<Look, Failure> {
        let activity = self.manager.activity(ActivityOptions::default()).await?;
        let mut look = Look::default();
        let before = self.activity.as_ref();
        look.has_servers = !activity.servers.is_empty();
        if look.has_servers {
            look.summary.extend(activity.servers.iter().map(|now| server_summary(before, now)));
            look.summary.push(activity.sessions.to_string());
        } else {
            look.summary.push(database_summary(&activity));
            let rates = before.and_then(|before| ActivityRates::between(before, &activity));
            look.summary.extend(rates.as_ref().map(rates_summary));
        }
        sessions(&mut look, &activity);
        let is_first = self.activity.is_none();
        let answering: BTreeSet<_> = activity
            .servers
            .iter()
            .filter(|of| of.reading.is_some())
            .map(|of| Arc::clone(&of.server))
            .collect();
        let all_answer = answering.len() == activity.servers.len();
        self.activity = Some(activity);
        self.ask_service(&mut look).await?;
        // Waiting for a server that is away must not keep the first screen from being shown.
        if all_answer || !is_first {
            self.measure(&answering, &look).await?;
        }
        self.sizes(&mut look);
        Ok(look)
    }

    async fn ask_service(&mut self, look: &mut Look) -> Result<(), Failure> {
        let Some(service) = &self.service else {
            if look.rows.is_empty() {
                look.unseen.push(
                    "which tenants sessions are bound to: give the service's /metrics with --url, or let it set name_tenants".to_owned(),
                );
            }
            return Ok(());
        };
        let (figures, now) = (service.figures().await?, Instant::now());
        let rates = self
            .before
            .as_ref()
            .and_then(|(before, at)| ServiceRates::between(before, &figures, now - *at));
        look.summary.push(service_summary(&figures, rates.as_ref()));
        service_rows(look, &figures, rates.as_ref());
        if figures.tenants.is_empty() {
            look.unseen.push(
                "figures of each tenant: let the service set MetricsOptions::tenant_labels"
                    .to_owned(),
            );
        }
        self.before = Some((figures, now));
        Ok(())
    }

    /// Reads the sizes of tenants once a minute, and soon after a server has come back.
    async fn measure(
        &mut self,
        answering: &BTreeSet<Arc<str>>,
        look: &Look,
    ) -> Result<(), Failure> {
        let is_known =
            self.sized.as_ref().is_some_and(|sized| !sized.is_over(Instant::now(), answering));
        if !self.wants_sizes || is_known {
            return Ok(());
        }
        let (without, error) = match self.manager.tenant_sizes(SizeMethod::Estimate).await {
            Ok(sizes) => {
                let unread = sizes.tenants.iter().filter(|size| size.unread);
                // Of a server that answers, only the tenant's own database does not.
                let without = unread.filter_map(|size| size.server.clone());
                let without = without.filter(|server| !answering.contains(server)).collect();
                self.sizes = Some(sizes);
                (without, None)
            }
            // The catalog is on the main server: the others are shown all the same.
            Err(error) if look.has_servers => {
                (BTreeSet::from(["main".into()]), Some(format!("sizes: {error}")))
            }
            Err(error) => return Err(error.into()),
        };
        self.sized = Some(Measured { at: Instant::now(), without, error });
        Ok(())
    }

    /// Adds the sizes that were last read, and the tenants whose size could not be.
    fn sizes(&self, look: &mut Look) {
        look.unseen.extend(self.sized.as_ref().and_then(|sized| sized.error.clone()));
        let sizes = self.sizes.iter().flat_map(|sizes| &sizes.tenants);
        for size in sizes.filter(|size| size.bytes.is_some() || size.unread) {
            let row = row(look, size.tenant_id.as_str());
            row.bytes = size.bytes;
            if row.server.is_none() {
                row.server = size.server.as_deref().map(ToOwned::to_owned);
            }
        }
    }
}

/// Returns the line of one of several servers.
fn server_summary(before: Option<&Activity>, now: &ServerActivity) -> String {
    let server = &now.server;
    let Some(reading) = &now.reading else {
        return format!("{server}: not read: {}", now.error.as_deref().unwrap_or_default());
    };
    let same = |of: &&ServerActivity| of.server == *server;
    let then = before.and_then(|before| before.servers.iter().find(same)?.reading.as_ref());
    let rates = then.and_then(|then| ActivityRates::of_server(then, reading));
    let rates = rates.map_or_else(String::new, |rates| format!("  {}", rates_summary(&rates)));
    let (version, Connections { max, used, .. }) = (&reading.server_version, reading.connections);
    format!("{server}: PostgreSQL {version}  {used} of {max} connections{rates}")
}

fn database_summary(activity: &Activity) -> String {
    format!(
        "PostgreSQL {}  {} of {} connections  {}",
        activity.server_version,
        activity.connections.used,
        activity.connections.max,
        activity.sessions
    )
}

fn rates_summary(rates: &ActivityRates) -> String {
    format!(
        "{:.0} commits/s  {:.0} rollbacks/s  {:.0} rows read/s  {:.0} rows changed/s",
        rates.commits, rates.rollbacks, rates.rows_returned, rates.rows_changed
    )
}

fn service_summary(figures: &ServiceFigures, rates: Option<&ServiceRates>) -> String {
    let rates = rates.map_or_else(String::new, |rates| {
        format!(
            "  {:.0} queries/s  p50 {}  p99 {}  wait p99 {}",
            rates.queries,
            seconds(rates.query_p50),
            seconds(rates.query_p99),
            seconds(rates.wait_p99)
        )
    });
    format!(
        "service: {} of {} connections in use, {} waiting{rates}",
        figures.leased, figures.connections_max, figures.waiting
    )
}

/// Adds the service's figures of each tenant. Sessions that the database reported stay.
fn service_rows(look: &mut Look, figures: &ServiceFigures, rates: Option<&ServiceRates>) {
    for (id, tenant) in &figures.tenants {
        let row = row(look, id);
        row.sessions.get_or_insert(tenant.leased + tenant.idle);
        row.active.get_or_insert(tenant.leased);
        row.waiting = Some(tenant.waiting);
        row.queries = rates.and_then(|rates| rates.tenants.get(id)).map(|rates| rates.acquires);
    }
}

fn row<'a>(look: &'a mut Look, id: &str) -> &'a mut Row {
    if !look.rows.contains_key(id) {
        look.rows.insert(id.to_owned(), Row { tenant: id.to_owned(), ..Row::default() });
    }
    look.rows.entry(id.to_owned()).or_default()
}

#[expect(clippy::cast_precision_loss, reason = "session counts are small")]
fn sessions(look: &mut Look, activity: &Activity) {
    for tenant in &activity.tenants {
        // A tenant that moves has sessions in two places.
        let row = row(look, &tenant.tenant_id);
        let counts = tenant.sessions;
        add(&mut row.sessions, counts.total as f64);
        add(&mut row.active, counts.active as f64);
        add(&mut row.waiting, counts.waiting as f64);
        let longest = tenant.longest_statement.map(|time| time.as_secs_f64());
        row.longest = [row.longest, longest].into_iter().flatten().reduce(f64::max);
        if let Some(server) = &tenant.server {
            row.server = Some(match row.server.take() {
                Some(other) if other != **server => format!("{other}, {server}"),
                _ => server.to_string(),
            });
        }
    }
    look.slow = activity
        .slow
        .iter()
        .map(|slow| Slow {
            tenant: slow.tenant_id.clone().unwrap_or_else(|| "-".to_owned()),
            server: slow.server.as_deref().map(ToOwned::to_owned),
            seconds: slow.running.as_secs_f64(),
            wait: slow.wait.clone().unwrap_or_default(),
            text: slow.text.clone(),
        })
        .collect();
    // That sessions are not named is reported together with alternatives.
    let others = activity.unseen.iter().filter(|unseen| unseen.what != TENANTS_OF_SESSIONS);
    // Servers that could not be read are in the summary.
    let is_told = |unseen: &&Unseen| {
        let is_of = |of: &ServerActivity| Some(&of.server) == unseen.server.as_ref();
        activity.servers.iter().any(|of| of.error.is_some() && is_of(of))
    };
    let others = others.filter(|unseen| !is_told(unseen));
    look.unseen.extend(others.map(|unseen| format!("{unseen}: {}", unseen.why)));
}

fn add(sum: &mut Option<f64>, more: f64) {
    *sum = Some(sum.unwrap_or_default() + more);
}

#[cfg(test)]
mod tests {
    use tenantry::{PoolOptions, ServerOptions, TableCatalog, provision::CreateOptions};
    use tenantry_devdb::DevServer;
    use tokio::time::sleep;

    use super::*;

    /// Two servers with a tenant each, and a manager that waits for neither for long.
    async fn two() -> (DevServer, DevServer, TenantManager) {
        let (main, eu) = (DevServer::start().await.unwrap(), DevServer::start().await.unwrap());
        let mut quick = PoolOptions::default();
        quick.connect_timeout = Duration::from_millis(500);
        quick.acquire_timeout = Duration::from_secs(1);
        let server = ServerOptions::new(eu.url()).pool_options(quick.clone());
        let builder = TenantManager::builder(main.url()).pool_options(quick);
        let builder = builder.catalog(TableCatalog::new()).server("eu-1", server);
        let manager = builder.build().unwrap();
        TableCatalog::new().create_table(manager.shared()).await.unwrap();
        let provisioner = manager.provisioner();
        provisioner.create("here", CreateOptions::default()).await.unwrap();
        provisioner.create("there", CreateOptions::default().server("eu-1")).await.unwrap();
        (main, eu, manager)
    }

    /// Looks until a tenant has a size.
    async fn until_sized(source: &mut Source, tenant: &str) -> Look {
        let began = Instant::now();
        loop {
            let look = source.look().await.unwrap();
            if look.rows.get(tenant).is_some_and(|row| row.bytes.is_some()) {
                return look;
            }
            assert!(began.elapsed() < SIZES / 2, "{tenant} never appears: {look:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test]
    async fn tenants_of_a_server_that_was_away_appear_when_it_is_back() {
        let (_main, eu, manager) = two().await;
        eu.stop_now().await.unwrap();
        let mut source = Source::of(manager, true);
        let first = source.look().await.unwrap();
        let line = first.summary.iter().find(|line| line.starts_with("eu-1: ")).unwrap();
        assert!(line.starts_with("eu-1: not read: "), "{line}");
        let away = until_sized(&mut source, "here").await;
        let there = &away.rows["there"];
        assert_eq!((there.server.as_deref(), there.bytes), (Some("eu-1"), None));
        eu.start_again().await.unwrap();
        until_sized(&mut source, "there").await;
    }

    #[tokio::test]
    async fn the_other_servers_are_shown_if_the_main_one_is_away() {
        let (main, _eu, manager) = two().await;
        main.stop_now().await.unwrap();
        let mut source = Source::of(manager, true);
        let look = source.look().await.unwrap();
        let starts = |with: &str| look.summary.iter().any(|line| line.starts_with(with));
        assert!(starts("main: not read: ") && starts("eu-1: PostgreSQL "), "{look:?}");
        let look = source.look().await.unwrap();
        assert!(look.unseen.iter().any(|line| line.starts_with("sizes: ")), "{look:?}");
        main.start_again().await.unwrap();
        let look = until_sized(&mut source, "there").await;
        assert!(look.unseen.iter().all(|line| !line.starts_with("sizes: ")), "{look:?}");
        assert!(look.rows["here"].bytes.is_some(), "{look:?}");
    }

    #[test]
    fn sizes_are_read_again_once_a_minute_or_when_a_server_is_back() {
        let now = Instant::now();
        let sized = |without: &[&str]| Measured {
            at: now,
            without: without.iter().map(|name| Arc::from(*name)).collect(),
            error: None,
        };
        let main = BTreeSet::from(["main".into()]);
        assert!(!sized(&["eu"]).is_over(now + AGAIN, &main), "it is not back");
        assert!(!sized(&["main"]).is_over(now, &main), "it was read a moment ago");
        assert!(sized(&["main"]).is_over(now + AGAIN, &main));
        assert!(!sized(&[]).is_over(now + AGAIN, &main) && sized(&[]).is_over(now + SIZES, &main));
    }
}
