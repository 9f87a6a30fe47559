//! Checks that run a few queries, each covering all tenants in one statement.

use futures_util::FutureExt;

use super::{
    everywhere::{Besides, Local, everywhere},
    kinds::{Kind, find},
    tenants::Tenants,
    told::Told,
};
use crate::{
    doctor::{Examined, Finding, Subject},
    error::Error,
    reading::{lease_for_reading, on},
};

/// A question about all tenants.
pub(super) struct Question {
    /// The statement; see [`find`].
    pub(super) find: &'static str,
    /// Converts a result to a finding.
    pub(super) tell: fn(&Kind, &Tenants) -> Finding,
}

/// Runs the queries in each database of tenants, and returns the result. `fine` is the text if nothing was found, such
/// as "no invalid index".
pub(super) async fn examine(
    on: &Subject,
    fine: &str,
    questions: &'static [Question],
) -> Result<Examined, Error> {
    examine_all(on, fine, move |_| questions).await
}

/// Runs the queries that are meant for a database in each database of tenants, and returns the result.
pub(super) async fn examine_all(
    on: &Subject,
    fine: &str,
    questions: impl Fn(&Local<'_>) -> &'static [Question] + Sync,
) -> Result<Examined, Error> {
    let looked = everywhere(on, Besides::Nothing, |local| {
        let questions = questions(&local);
        async move { ask(&local, questions).await }.boxed()
    });
    let looked = looked.await?;
    Ok(looked.map_or_else(|examined| examined, |all| all.told(fine)))
}

/// Runs all of these on one connection.
pub(super) async fn ask(local: &Local<'_>, questions: &[Question]) -> Result<Told, Error> {
    let mut told = Told::default();
    if questions.is_empty() {
        return Ok(told);
    }
    let tenants = &local.tenants;
    let mut lease = lease_for_reading(&local.fleet).await?;
    for question in questions {
        let found = on(&mut lease, async |conn| find(conn, tenants, question.find).await).await?;
        told.left_out += found.left_out;
        told.findings.extend(found.kinds.iter().map(|kind| (question.tell)(kind, tenants)));
    }
    Ok(told)
}
