//! Checks that run a few queries, each covering all tenants in one statement.

use super::{
    kinds::{Kind, find},
    tenants::Tenants,
};
use crate::{
    doctor::{
        Examined, Finding, Subject,
        text::{counted, grouped},
    },
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

/// Findings, and their total number.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) findings: Vec<Finding>,
    pub(super) left_out: usize,
}

/// Runs the queries, and returns the result. `fine` is the text if nothing was found, such as "no invalid index".
pub(super) async fn examine(
    on: &Subject,
    fine: &str,
    questions: &[Question],
) -> Result<Examined, Error> {
    let tenants = match looked_at(on) {
        Ok(tenants) => tenants,
        Err(examined) => return Ok(*examined),
    };
    Ok(ask(on, &tenants, questions).await?.examined(fine, &tenants))
}

/// Returns the tenants, or the result of a check that has none to examine.
pub(super) fn looked_at(on: &Subject) -> Result<Tenants, Box<Examined>> {
    match on.tenants() {
        Ok(records) => {
            let tenants = Tenants::of(on.fleet(), records);
            if tenants.is_empty() { Err(Box::new(Examined::ok("no tenants"))) } else { Ok(tenants) }
        }
        Err(error) => Err(Box::new(Examined::not_read("the list of tenants", error))),
    }
}

/// Runs all of these on one connection.
pub(super) async fn ask(
    subject: &Subject,
    tenants: &Tenants,
    questions: &[Question],
) -> Result<Told, Error> {
    let mut lease = lease_for_reading(subject.fleet()).await?;
    let mut told = Told::default();
    for question in questions {
        let found = on(&mut lease, async |conn| find(conn, tenants, question.find).await).await?;
        told.left_out += found.left_out;
        told.findings.extend(found.kinds.iter().map(|kind| (question.tell)(kind, tenants)));
    }
    Ok(told)
}

impl Told {
    /// Adds the results of other queries.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        self.left_out += other.left_out;
        self
    }

    /// Combines the findings. `fine` is the text if there are none.
    pub(super) fn examined(self, fine: &str, tenants: &Tenants) -> Examined {
        self.examined_of(tenants.len(), fine)
    }

    /// Combines the findings about this many tenants.
    pub(super) fn examined_of(self, tenants: usize, fine: &str) -> Examined {
        let message = match (&self.findings[..], self.left_out) {
            ([], _) => format!("{fine} in {}", counted(tenants, "tenant", "tenants")),
            ([one], 0) => one.to_string(),
            ([first, ..], 0) => format!("{} findings, such as {first}", self.findings.len()),
            ([first, ..], more) => format!(
                "{} findings, {} of them listed, such as {first}",
                grouped(self.findings.len() + more),
                self.findings.len()
            ),
        };
        Examined::ok(message).findings(self.findings)
    }
}
