use futures_util::FutureExt;

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
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
    Ok(judge(in_recovery, read_only, usize::try_from(standbys).unwrap_or_default(), waits_for))
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
