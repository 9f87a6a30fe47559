use futures_util::FutureExt;

use super::Settings;
use crate::{
    doctor::{
        Examined, Finding, OnServer, ServerCheck,
        text::{counted, grouped},
    },
    error::Error,
    pool::PoolOptions,
};

/// How much memory backends use for the definitions of tables.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "memory",
    title: "Relation cache",
    reads: "the tables of tenants",
    look: |on| look(on).boxed(),
};

/// The bytes that a backend keeps for each table with two indexes that it has touched, measured on PostgreSQL 15. It
/// frees them only when it ends.
const PER_TABLE: u64 = 15_500;

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    let Some(relations) = on.relations().await? else {
        let error = on.tenants().err();
        return Ok(error.map_or_else(
            || Examined::unknown("the tables of tenants cannot be counted"),
            |error| Examined::not_listed("the tables of tenants", error),
        ));
    };
    let server = on.server();
    let (budget, instances) = server.budget_of(on.instances());
    let options = server.options().clone().max_connections(budget);
    Ok(judge(relations.tables, &options, instances, settings))
}

fn judge(tables: u64, options: &PoolOptions, instances: usize, settings: &Settings) -> Examined {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let touched = tables.min(number(options.max_tables_per_connection));
    let connections = number(options.max_connections).saturating_mul(number(instances));
    let memory = touched.saturating_mul(PER_TABLE).saturating_mul(connections);
    let shared = settings.number("shared_buffers").unsigned_abs().saturating_mul(8_192);
    let examined = Examined::ok(format!(
        "up to {} for {}",
        megabytes(memory),
        counted(options.max_connections.saturating_mul(instances), "connection", "connections")
    ));
    if memory <= shared {
        return examined;
    }
    // By convention, shared_buffers is a quarter of the memory.
    let is_much = memory > shared.saturating_mul(3);
    examined.finding(finding(memory, shared, touched, options, is_much))
}

fn finding(memory: u64, shared: u64, tables: u64, options: &PoolOptions, is_much: bool) -> Finding {
    let what = format!(
        "backends may use {} to cache the definitions of {} each; shared_buffers is {}",
        megabytes(memory),
        counted(usize::try_from(tables).unwrap_or(usize::MAX), "table", "tables"),
        megabytes(shared)
    );
    let why = "this memory comes on top of shared_buffers and work_mem, and a backend frees it only when it ends";
    let how = format!(
        "compare {} for the relation cache with the memory of the server; if it does not fit, lower max_tables_per_connection (now {}) \
         or max_connections",
        megabytes(memory),
        grouped(options.max_tables_per_connection)
    );
    match is_much {
        true => Finding::warning(what, why).how(how),
        false => Finding::info(what, why).how(how),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(bytes.div_ceil(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn memory_is_compared_with_the_servers() {
        let settings = Settings::from([("shared_buffers", "16384")]); // 128 MB
        let options = PoolOptions::default();
        for (tables, instances, message, status, findings) in [
            (100, 1, "up to 31 MB for 20 connections", CheckStatus::Ok, 0),
            (1_000, 1, "up to 310 MB for 20 connections", CheckStatus::Ok, 1),
            (40_000, 4, "up to 2,480 MB for 80 connections", CheckStatus::Warn, 1),
        ] {
            let examined = judge(tables, &options, instances, &settings);
            assert_eq!(examined.message(), message);
            assert_eq!(
                (examined.status(), examined.findings.len()),
                (status, findings),
                "{tables}"
            );
        }
    }
}
