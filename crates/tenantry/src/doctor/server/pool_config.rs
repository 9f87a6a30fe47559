use futures_util::FutureExt;

use super::capacity::{Capacity, Demand};
use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
    pool::PoolOptions,
};

/// Whether the pool's options fit each other, the tenants, and the server's limits.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "poolConfig",
    title: "Pool configuration",
    reads: "the limits of the server",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let server = on.server();
    let options = server.options();
    let capacity = Capacity::read(on).await?;
    let (budget, instances) = server.budget_of(on.instances());
    let is_shared = server.shared_budget().is_some();
    let demand = Demand { budget, instances };
    let cap = server.cap_of_a_tenant();
    let available = capacity.available();
    let message = format!(
        "{}{}, at most {cap} per tenant; the server has {available}",
        counted(budget, "connection", "connections"),
        if is_shared { " for all processes" } else { "" }
    );
    let text = format!(
        "max={budget}, perTenant={cap}, ttl={}ms, instances={}; the server has {available} connections",
        options.tenant_pool_ttl.as_millis(),
        instances
    );
    let examined = Examined::ok(message).in_words(text);
    let examined = examined.findings(capacity.judge(demand)).findings(contradictions(options));
    let role = server.connector().options().get_username();
    let wall = if is_shared { capacity.judge_wall(budget, role) } else { None };
    let examined = examined.findings(wall);
    Ok(examined.findings(forgotten(on, options)))
}

/// Finds options that cancel each other out.
fn contradictions(options: &PoolOptions) -> Option<Finding> {
    let PoolOptions { acquire_timeout, connect_timeout, .. } = options;
    (connect_timeout >= acquire_timeout).then(|| {
        Finding::warning(
            format!("connect_timeout ({connect_timeout:?}) is not below acquire_timeout ({acquire_timeout:?})"),
            "a request whose connection cannot be opened fails, although another one may have become idle meanwhile",
        )
        .how("set connect_timeout to about half of acquire_timeout")
    })
}

/// Checks whether tenant pools are removed while their tenants are active.
fn forgotten(on: OnServer<'_>, options: &PoolOptions) -> Option<Finding> {
    let active = on.active_tenants().ok()?;
    let most = options.max_tenant_pools;
    (active > most).then(|| {
        Finding::warning(
            format!(
                "the pool remembers {}, and {} are active",
                counted(most, "tenant", "tenants"),
                counted(active, "tenant", "tenants")
            ),
            "tenants lose their idle connections and their place in metrics to others",
        )
        .how(format!("raise max_tenant_pools to {active} or more (current: {most})"))
    })
}
