//! Queries many tenants with one message.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use sqlx::{Decode, Postgres, Row, SqlStr, Type, postgres::PgRow};
use tokio::time::Instant;

use super::{EachOutcome, batch::Batches};
use crate::{
    db::SharedDb,
    fan_out::targets::{Found, Target},
    fleet::Fleet,
    pool::{Answers, Lease, Occupant, Question},
};

/// How long the query may take on a tenant that is queried in a batch.
const PATIENCE: Duration = Duration::from_millis(500);

/// Number of concurrent messages.
const WORKERS: usize = 4;

/// The outcome of each tenant so far, by place.
pub(super) type Places<T> = Vec<Option<(EachOutcome<T>, Duration)>>;

/// The tenants of a survey that can be queried together.
pub(super) struct Together<'a> {
    fleet: &'a Fleet,
    targets: &'a [Target],
    question: Question,
}

impl<'a> Together<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        targets: &'a [Target],
        select: &SqlStr,
        limit: Duration,
    ) -> Self {
        let question = Question { select: select.clone(), limit: limit.min(PATIENCE) };
        Self { fleet, targets, question }
    }

    /// Queries all of them, and records the values. Tenants without a value afterwards must be
    /// queried separately.
    pub(super) async fn ask<T>(&self, places: &mut Places<T>)
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let query = self.question.select.as_str().len();
        let places = Mutex::new(places);
        let servers = self.able().into_values().map(|(shared, able)| {
            let places = &places;
            async move {
                let batches = Mutex::new(Batches::new(able, WORKERS, query));
                let work = (0..WORKERS).map(|_| self.work(&shared, &batches, places));
                join_all(work).await;
            }
        });
        join_all(servers).await;
    }

    /// Returns the tenants of each server that can be queried together there, with the shared schema of the server.
    fn able(&self) -> BTreeMap<&'a str, (SharedDb, VecDeque<usize>)> {
        let mut able = BTreeMap::new();
        for (place, target) in self.targets.iter().enumerate() {
            if let (Found::Tenant(db), Some(occupant)) = (&target.found, self.occupant(place)) {
                let server = able.entry(occupant.home().server());
                server.or_insert_with(|| (db.shared(), VecDeque::new())).1.push_back(place);
            }
        }
        able
    }

    fn occupant(&self, place: usize) -> Option<&'a Arc<Occupant>> {
        match &self.targets[place].found {
            Found::Tenant(db) => {
                Some(db.occupant()).filter(|occupant| occupant.can_be_asked_with_others())
            }
            _ => None,
        }
    }

    async fn work<T>(
        &self,
        shared: &SharedDb,
        batches: &Mutex<Batches>,
        places: &Mutex<&mut Places<T>>,
    ) where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let mut lease: Option<Lease> = None;
        loop {
            let closing = self.fleet.server().closing().is_cancelled();
            let batch = if closing { None } else { batches.lock().next() };
            let Some(batch) = batch else { return };
            // The shared schema has no cap, and is served in turn with the tenants.
            let on = match lease.take() {
                Some(lease) if !lease.is_spent() => Ok(lease),
                _ => shared.acquire_for_library().await,
            };
            // Without a connection, each tenant gets the error when it is queried separately.
            let Ok(mut on) = on else { return };
            if self.ask_batch(&mut on, &batch, batches, places).await {
                lease = Some(on);
            }
        }
    }

    /// Queries the tenants of a batch. Returns `true` if the connection can be used again.
    async fn ask_batch<T>(
        &self,
        lease: &mut Lease,
        batch: &[usize],
        batches: &Mutex<Batches>,
        places: &Mutex<&mut Places<T>>,
    ) -> bool
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let began = Instant::now();
        let occupants = batch.iter().filter_map(|place| self.occupant(*place).cloned());
        let (occupants, mut answers) = (occupants.collect::<Vec<_>>(), Answers::default());
        if occupants.len() < batch.len() {
            // One of them turned out to be a different tenant: all of them are queried separately.
            return true;
        }
        let asked = lease.ask_each(&occupants, &self.question, &mut answers).await;
        let answered = answers.rows.len();
        let each = began.elapsed() / u32::try_from(answered.max(1)).unwrap_or(u32::MAX);
        let mut usable = 0;
        for (place, row) in batch.iter().zip(answers.rows) {
            if let Some(value) = value(row) {
                usable += 1;
                places.lock()[*place] = Some((EachOutcome::Done { value }, each));
            }
        }
        match (&asked, usable == batch.len()) {
            (Ok(()), true) => batches.lock().succeeded(),
            // Tenants after the failed one were not queried.
            _ => batches.lock().failed(batch.get(answered + 1..).unwrap_or_default()),
        }
        asked.is_ok()
    }
}

/// Decodes a value. A type that cannot be decoded from text is read in binary form when the tenant
/// is queried separately.
fn value<T>(row: sqlx::Result<PgRow>) -> Option<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    row.ok()?.try_get("tenantry_value").ok()
}
