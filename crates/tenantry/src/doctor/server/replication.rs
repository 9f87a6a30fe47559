use futures_util::FutureExt;

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
    event::ReplicaState,
    pool::ReplicaStatus,
};

/// Whether the server accepts writes, and whether commits wait for a standby that is missing.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "replication",
    title: "Replication",
    reads: "the state of replication",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let asked = sqlx::query_as(STATE).persistent(false).fetch_one(on.system()).await;
    let (in_recovery, standbys): (bool, i64) = asked?;
    let settings = on.settings().await?;
    let read_only = settings.is_on("default_transaction_read_only");
    let waits_for = settings.text("synchronous_standby_names").unwrap_or_default();
    let commits_wait = !matches!(settings.text("synchronous_commit"), Some("off" | "local"));
    let waits_for = if commits_wait { waits_for } else { "" };
    let examined =
        judge(in_recovery, read_only, usize::try_from(standbys).unwrap_or_default(), waits_for);
    let Some(replicas) = on.server().replicas() else { return Ok(examined) };
    Ok(examined.findings(replicas.examine().await.iter().filter_map(unused)))
}

/// Returns why a read replica answers no reads, if so.
fn unused(replica: &ReplicaStatus) -> Option<Finding> {
    let ReplicaStatus { name, state, lag } = replica;
    let (what, how) = match state {
        ReplicaState::InUse | ReplicaState::Unknown => return None,
        ReplicaState::Lagging => {
            let lag = lag.map_or_else(String::new, |bytes| format!(" ({bytes} bytes)"));
            let what = format!("the read replica {name} is too far behind{lag}");
            (
                what,
                "look for long queries on it, and for a slow network or disk; see max_standby_streaming_delay",
            )
        }
        ReplicaState::Away => (
            format!("the read replica {name} gives no connection"),
            "check its URL, its pg_hba.conf and whether it runs",
        ),
        ReplicaState::Unrelated => (
            format!(
                "the read replica {name} does not follow the server: it is not in recovery, is a copy of another \
                     one, or follows a former primary"
            ),
            "check its URL and its primary_conninfo; after a failover, make it follow the new primary",
        ),
    };
    Some(Finding::warning(what, "the primary answers its reads").how(how))
}

fn judge(in_recovery: bool, read_only: bool, standbys: usize, waits_for: &str) -> Examined {
    if in_recovery {
        let finding = Finding::error(
            "the server is a standby",
            "every statement that writes fails (25006), including migrations and provisioning",
        );
        return Examined::error("a standby, in recovery").finding(
            finding.how("connect to the primary; after a failover, check the name or the address"),
        );
    }
    let message = match standbys {
        0 => "primary, no standby".to_owned(),
        count => format!("primary, {}", counted(count, "standby", "standbys")),
    };
    Examined::ok(message)
        .findings(read_only.then(read_only_by_default))
        .findings((!waits_for.is_empty() && standbys == 0).then(|| waiting(waits_for)))
}

fn read_only_by_default() -> Finding {
    Finding::error(
        "transactions of the role are read-only by default (default_transaction_read_only)",
        "every statement that writes fails (25006)",
    )
    .how("reset default_transaction_read_only")
}

fn waiting(standby: &str) -> Finding {
    let what = format!("commits wait for a standby ({standby}), and none is connected");
    Finding::error(what, "every commit hangs until a standby connects")
        .how("start the standby, or empty synchronous_standby_names and reload")
}

/// Every role sees the rows of senders; only their details are hidden.
const STATE: &str = "\
    select pg_catalog.pg_is_in_recovery(), \
      (select pg_catalog.count(*) from pg_catalog.pg_stat_get_wal_senders() s)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn a_replica_that_answers_no_reads_is_a_finding() {
        let of = |state| ReplicaStatus { name: "main/replica-1".into(), state, lag: Some(5) };
        for state in ReplicaState::ALL {
            let is_fine = matches!(state, ReplicaState::InUse | ReplicaState::Unknown);
            assert_eq!(unused(&of(state)).is_none(), is_fine, "{state:?}");
        }
    }

    #[test]
    fn what_keeps_writes_from_ending_is_an_error() {
        for (in_recovery, read_only, standbys, waits_for, status) in [
            (false, false, 0, "", CheckStatus::Ok),
            (false, false, 2, "standby", CheckStatus::Ok),
            (true, false, 0, "", CheckStatus::Error),
            (false, true, 0, "", CheckStatus::Error),
            (false, false, 0, "standby", CheckStatus::Error),
        ] {
            assert_eq!(judge(in_recovery, read_only, standbys, waits_for).status(), status);
        }
    }
}
