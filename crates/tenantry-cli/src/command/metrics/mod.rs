mod prometheus;
mod report;

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use tenantry::{
    HealthOptions,
    activity::{
        Activity, ActivityOptions, ActivityRates, ServiceFigures, ServiceRates, SizeMethod,
    },
};
use tokio::time::{Instant, sleep};

pub(in crate::command) use self::report::MetricsReport;
#[cfg(feature = "top")]
pub(in crate::command) use self::report::{bytes, seconds};
use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output,
    scrape::Service,
    settings::{self, key},
};

/// Arguments of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// URL of the service's /metrics [default: service.metrics_url; without it, the database is read]
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    url: Option<String>,
    /// Read the database, even if service.metrics_url is set
    #[arg(long)]
    database: bool,
    /// Print the Prometheus text format
    #[arg(long, conflicts_with = "watch")]
    prometheus: bool,
    /// Repeat, with rates per second; with --json, one line of JSON each time
    #[arg(long, short)]
    watch: bool,
    /// Time between two readings
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = settings::duration)]
    interval: Duration,
    /// Add a health check
    #[arg(long)]
    health: bool,
    /// Add the size of each tenant, from the database
    #[arg(long)]
    sizes: bool,
    /// Add the statements with the highest total time, from pg_stat_statements
    #[arg(long, value_name = "STATEMENTS")]
    top_statements: Option<usize>,
}

/// A single reading.
enum Look {
    Service(ServiceFigures, Instant),
    Database(Box<Activity>),
}

impl Look {
    /// Reports the figures, with rates if there is an earlier reading.
    fn report_since(&self, before: Option<&Self>) -> MetricsReport {
        let mut report = MetricsReport::default();
        match self {
            Self::Service(figures, at) => {
                if let Some(Self::Service(then, began)) = before {
                    report.service_rates = ServiceRates::between(then, figures, *at - *began);
                }
                report.service = Some(figures.clone());
            }
            Self::Database(activity) => {
                if let Some(Self::Database(then)) = before {
                    report.database_rates = ActivityRates::between(then, activity);
                    report.server_rates = server_rates(then, activity);
                }
                report.database = Some((**activity).clone());
            }
        }
        report
    }
}

/// Compares the readings of each of several servers.
fn server_rates(before: &Activity, after: &Activity) -> BTreeMap<String, ActivityRates> {
    let rates = after.servers.iter().filter_map(|now| {
        let then = before.servers.iter().find(|then| then.server == now.server)?;
        let rates = ActivityRates::of_server(then.reading.as_ref()?, now.reading.as_ref()?)?;
        Some((now.server.to_string(), rates))
    });
    rates.collect()
}

impl Metrics {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let service = self.service(on)?;
        if let (true, Some(service)) = (self.prometheus, &service) {
            let text = on.interruptible("nothing was read", service.text()).await?;
            on.output.print(&text)?;
            return Ok(Exit::Fine);
        }
        let mut before = None;
        loop {
            let look = self.look(on, service.as_ref());
            let look = match before {
                None => on.interruptible("nothing was read", look).await?,
                Some(_) => tokio::select! {
                    look = look => look?,
                    () = on.interrupt.clone().wait() => return Ok(Exit::Fine),
                },
            };
            let report = self.report(on, service.as_ref(), before.as_ref(), &look).await?;
            self.print(on, &report)?;
            if !self.watch || output::reader_is_gone() {
                return Ok(report.exit());
            }
            before = Some(look);
            tokio::select! {
                () = sleep(self.interval) => (),
                // Ctrl-C ends watching; nothing is left unfinished.
                () = on.interrupt.clone().wait() => return Ok(Exit::Fine),
            }
            if !on.output.json {
                on.output.print("")?;
            }
        }
    }

    fn print(&self, on: &Context, report: &MetricsReport) -> Result<(), Failure> {
        match (self.prometheus, self.watch && on.output.json) {
            (true, _) => on.output.print(&prometheus::text(report)),
            (false, true) => on.output.print(&json_line(report)?),
            (false, false) => on.output.report(report, || report.text()),
        }
    }

    fn service(&self, on: &Context) -> Result<Option<Service>, Failure> {
        if self.database {
            return Ok(None);
        }
        let url = self.url.as_deref().or_else(|| on.settings.text(&key::METRICS_URL));
        url.map(Service::new).transpose()
    }

    async fn look(&self, on: &Context, service: Option<&Service>) -> Result<Look, Failure> {
        match service {
            Some(service) => Ok(Look::Service(service.figures().await?, Instant::now())),
            None => {
                let options = ActivityOptions::default()
                    .top_statements(self.top_statements.unwrap_or_default());
                Ok(Look::Database(Box::new(on.manager()?.activity(options).await?)))
            }
        }
    }

    async fn report(
        &self,
        on: &Context,
        service: Option<&Service>,
        before: Option<&Look>,
        now: &Look,
    ) -> Result<MetricsReport, Failure> {
        let mut report = now.report_since(before);
        report.url = service.map(|service| service.shown().to_owned());
        if self.health {
            report.health = Some(on.manager()?.health(HealthOptions::default()).await);
        }
        if self.sizes {
            report.sizes = Some(on.manager()?.tenant_sizes(SizeMethod::Estimate).await?);
        }
        Ok(report)
    }
}

fn json_line(report: &MetricsReport) -> Result<String, Failure> {
    serde_json::to_string(report)
        .map_err(|error| Failure::while_doing("writing the report as JSON", &error))
}
