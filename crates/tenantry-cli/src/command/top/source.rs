//! Reads the data for `top`.

use std::time::Duration;

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
    sized: Option<Instant>,
}

impl Source {
    pub(super) fn new(on: &Context, url: Option<&str>, wants_sizes: bool) -> Result<Self, Failure> {
        let url = url.or_else(|| on.settings.text(&key::METRICS_URL));
        Ok(Self {
            manager: on.manager()?.clone(),
            service: url.map(Service::new).transpose()?,
            before: None,
            activity: None,
            wants_sizes,
            sizes: None,
            sized: None,
        })
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
        self.activity = Some(activity);
        self.ask_service(&mut look).await?;
        self.measure(&mut look).await?;
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

    /// Adds the sizes of tenants, which are read once a minute.
    async fn measure(&mut self, look: &mut Look) -> Result<(), Failure> {
        if self.wants_sizes && self.sized.is_none_or(|at| at.elapsed() >= SIZES) {
            match self.manager.tenant_sizes(SizeMethod::Estimate).await {
                Ok(sizes) => self.sizes = Some(sizes),
                // The catalog is on the main server: the others are shown all the same.
                Err(error) if look.has_servers => look.unseen.push(format!("sizes: {error}")),
                Err(error) => return Err(error.into()),
            }
            self.sized = Some(Instant::now());
        }
        let sizes = self.sizes.iter().flat_map(|sizes| &sizes.tenants);
        for (size, bytes) in sizes.filter_map(|size| Some((size, size.bytes?))) {
            let row = row(look, size.tenant_id.as_str());
            row.bytes = Some(bytes);
            if row.server.is_none() {
                row.server = size.server.as_deref().map(ToOwned::to_owned);
            }
        }
        Ok(())
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
