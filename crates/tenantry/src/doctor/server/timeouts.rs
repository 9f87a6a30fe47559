use std::time::Duration;

use futures_util::FutureExt;

use super::Settings;
use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck},
    error::Error,
    pool::PoolOptions,
};

/// Whether statements and transactions have a timeout, and whether the server ends connections that the pool keeps.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "timeouts",
    title: "Timeouts",
    reads: "the settings of the server",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    Ok(judge(settings, on.server().options()))
}

fn judge(settings: &Settings, options: &PoolOptions) -> Examined {
    let millis = |name| match settings.number(name) {
        0 => None,
        millis => Some(Duration::from_millis(millis.unsigned_abs())),
    };
    let statement = options.statement_timeout.into_iter().chain(millis("statement_timeout")).min();
    let transaction = match options.idle_in_transaction_timeout {
        None => millis("idle_in_transaction_session_timeout"),
        Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
    };
    let or_none = |limit: Option<Duration>| {
        limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:?}"))
    };
    let examined = Examined::ok(format!(
        "statements {}, idle transactions {}",
        or_none(statement),
        or_none(transaction)
    ));
    let examined = examined.findings(endless(statement, transaction));
    examined
        .findings(idle(millis("idle_session_timeout"), options))
        .findings(transactions(millis("transaction_timeout")))
}

fn endless(statement: Option<Duration>, transaction: Option<Duration>) -> Vec<Finding> {
    let mut found = Vec::new();
    if statement.is_none() {
        let why = "a statement that hangs or scans too much holds a connection of the budget while it runs";
        found.push(Finding::info("statements of requests have no time limit", why).how(
            "set statement_timeout in the pool's options, or on the role that serves requests",
        ));
    }
    if transaction.is_none() {
        let why = "a forgotten transaction keeps its locks and its connection, and prevents vacuum from removing dead \
                   rows in the whole database";
        found.push(
            Finding::warning("transactions can stay idle indefinitely", why).how(
                "leave idle_in_transaction_timeout in the pool's options at its default of 60 s",
            ),
        );
    }
    found
}

/// Checks whether the server ends sessions that the pool still counts on.
fn idle(of_server: Option<Duration>, options: &PoolOptions) -> Option<Finding> {
    let of_server = of_server?;
    if options.idle_timeout.is_some_and(|of_pool| of_pool < of_server) {
        return None;
    }
    let what =
        format!("the server ends sessions that are idle for {of_server:?} (idle_session_timeout)");
    let why = "the pool keeps idle connections longer, and has to reconnect at the next use";
    Some(
        Finding::warning(what, why)
            .how(format!("set idle_timeout in the pool's options below {of_server:?}")),
    )
}

fn transactions(limit: Option<Duration>) -> Option<Finding> {
    let limit = limit?;
    let what = format!(
        "the server ends transactions that take longer than {limit:?} (transaction_timeout)"
    );
    let why = "it also ends the session; migrations, clones and provisioning turn the limit off for themselves";
    Some(Finding::info(what, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn limits_are_compared() {
        let defaults = PoolOptions::default();
        let of = |settings: &Settings, options: &PoolOptions| {
            let examined = judge(settings, options);
            (examined.status(), examined.findings.len())
        };
        let bare = Settings::default();
        assert_eq!(of(&bare, &defaults), (CheckStatus::Ok, 1));
        let limited = Settings::from([("statement_timeout", "60000")]);
        assert_eq!(of(&limited, &defaults), (CheckStatus::Ok, 0));
        let forgetful = PoolOptions { idle_in_transaction_timeout: None, ..defaults.clone() };
        assert_eq!(of(&limited, &forgetful), (CheckStatus::Warn, 1));
        let turned_off =
            PoolOptions { idle_in_transaction_timeout: Some(Duration::ZERO), ..forgetful.clone() };
        assert_eq!(of(&limited, &turned_off).0, CheckStatus::Warn);
        let impatient =
            Settings::from([("statement_timeout", "1"), ("idle_session_timeout", "60000")]);
        assert_eq!(of(&impatient, &defaults), (CheckStatus::Warn, 1));
        let patient =
            Settings::from([("statement_timeout", "1"), ("idle_session_timeout", "3600000")]);
        assert_eq!(of(&patient, &defaults), (CheckStatus::Ok, 0));
        let short = Settings::from([("statement_timeout", "1"), ("transaction_timeout", "5000")]);
        assert_eq!(of(&short, &defaults), (CheckStatus::Ok, 1));
    }
}
