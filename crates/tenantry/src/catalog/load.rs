//! Batched catalog queries, and the handling of their answers.

use std::{
    collections::{HashMap, HashSet},
    error::Error as _,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    Asked, Resolved,
    desk::Asking,
    fixed::collision,
    in_time,
    lookup::{Heard, Inner, Lookup},
    memory::Verdict,
    rules::Known,
};
use crate::{
    error::{Error, ErrorKind},
    event::{Event, Retry, RetryOf},
    pool::LiveLimits,
    retry::Retrier,
    tenant::{
        Ident, IsolationKind, MAIN, Placement, Schema, SchemaOid, TenantId, TenantRecord,
        TenantState,
    },
};

/// The catalog's answer for each of the requested ids.
pub(super) type Said = HashMap<TenantId, Result<Option<TenantRecord>, Arc<Error>>>;

impl Lookup {
    /// Queries the catalog, delivers the answers and caches them.
    pub(super) async fn ask_for(&self, asked: &Asked, asking: Asking<Heard>) {
        let Inner { memory, outage, .. } = &*self.0;
        let began = memory.now();
        match in_time(self.0.timeout, self.heard(asked, &asking.ids, began)).await {
            Ok(all) => {
                if let Some(over) = outage.end() {
                    asked.library.observer().tell(Event::CatalogOutage(over));
                }
                self.deliver(&asking, all, began);
            }
            Err(error) => {
                let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                outage.note(Some(cause.into()));
                self.deliver_failure(&asking, error);
            }
        }
    }

    fn deliver(&self, asking: &Asking<Heard>, all: Vec<Heard>, began: Duration) {
        let memory = &self.0.memory;
        for (place, heard) in all.into_iter().enumerate() {
            let id = &asking.ids[place];
            let keep = || match &heard {
                Heard::Verdict(verdict) => memory.note(id, verdict, began),
                Heard::Unusable(_) => memory.forget(id.as_str()),
                Heard::NoAnswer(_) => {}
            };
            asking.deliver(place, heard.clone(), keep);
        }
    }

    fn deliver_failure(&self, asking: &Asking<Heard>, error: Error) {
        let memory = &self.0.memory;
        let heard = Heard::NoAnswer(Arc::new(error));
        for (place, id) in asking.ids.iter().enumerate() {
            let keep = || {
                if let Some(known) = memory.known(id.as_str()) {
                    known.note_tried(memory.now());
                }
            };
            asking.deliver(place, heard.clone(), keep);
        }
    }

    /// Queries the catalog for ids, and the server for the schemas that their names currently refer
    /// to.
    async fn heard(
        &self,
        asked: &Asked,
        ids: &[TenantId],
        began: Duration,
    ) -> Result<Vec<Heard>, Error> {
        let inner = &*self.0;
        let mut said = inner.resolve(asked, ids).await?;
        let placed = ids.iter().map(|id| {
            let (record, placement) = inner.placed(&said, id)?;
            let limits = inner.limits(&record, began).map_err(unusable)?;
            inner.served(Placed { record, placement, limits })
        });
        let looked_up = inner.memory.instant(began);
        let known = inner.known(asked, placed.collect(), looked_up).await;
        self.see_rivals(asked, &mut said, &known).await?;
        let mut all = Vec::with_capacity(known.len());
        for known in known {
            all.push(match known {
                Ok(known) => match self.claim(asked, &mut said, &known).await? {
                    Claim::Granted => Heard::Verdict(Verdict::Known(known)),
                    Claim::Refused(collision) => unusable(collision),
                },
                Err(heard) => heard,
            });
        }
        Ok(all)
    }

    /// Looks up, in one batch, the tenants that already have one of the containers.
    async fn see_rivals(
        &self,
        asked: &Asked,
        said: &mut Said,
        known: &[Result<Arc<Known>, Heard>],
    ) -> Result<(), Error> {
        let rivals = known.iter().flatten().filter_map(|known| {
            self.0.holders.rival(known.tenant.placement().spot(), known.tenant.id())
        });
        let rivals: HashSet<_> = rivals.filter(|rival| !said.contains_key(rival)).collect();
        let rivals: Vec<_> = rivals.into_iter().collect();
        said.extend(self.0.resolve(asked, &rivals).await?);
        Ok(())
    }

    /// Records that a container belongs to this tenant. If it belonged to another one, and the
    /// catalog confirms that it still does, two tenants would share their data, and this one is
    /// refused. If not, the cached entry of the other one is outdated.
    async fn claim(&self, asked: &Asked, said: &mut Said, known: &Known) -> Result<Claim, Error> {
        let Inner { holders, rules, .. } = &*self.0;
        let (id, spot) = (known.tenant.id(), known.tenant.placement().spot());
        let is_in_rows = known.tenant.placement().isolation() == IsolationKind::Row;
        let created_at = known.tenant.created_at().filter(|_| is_in_rows);
        let retire_older =
            || created_at.map(|created_at| holders.retire_older(spot, id, created_at));
        retire_older();
        let mut gone = None;
        while let Err(rival) = holders.claim(spot, id, &known.occupant, gone.as_ref()) {
            if !said.contains_key(&rival) {
                let alone = std::slice::from_ref(&rival);
                said.extend(self.0.resolve(asked, alone).await?);
            }
            match said.get(&rival) {
                Some(Ok(Some(other))) if rules.place(other).is_ok_and(|of| of.spot() == spot) => {
                    return Ok(Claim::Refused(collision(id, &rival)));
                }
                // The other tenant's container is unknown.
                Some(Err(error)) => {
                    let error = Error::shared(error).with_tenant(&rival);
                    return Ok(Claim::Refused(error));
                }
                _ => {}
            }
            self.forget(rival.as_str());
            gone = Some(rival);
        }
        // Before, there may have been no holder that could remember when it was created.
        retire_older();
        Ok(Claim::Granted)
    }
}

/// A tenant on record, with what follows from that.
struct Placed {
    record: TenantRecord,
    placement: Placement,
    limits: Arc<LiveLimits>,
}

/// The outcome of a tenant's claim to its container.
enum Claim {
    Granted,
    Refused(Error),
}

impl Inner {
    /// Looks up tenants in the catalog, and retries transient failures.
    pub(super) async fn resolve(&self, asked: &Asked, ids: &[TenantId]) -> Result<Said, Error> {
        let most = self.retry.max_attempts;
        let told = asked.library.clone();
        let tenant = if let [id] = ids { Some(id.clone()) } else { None };
        let retrier = Retrier::when(self.retry.clone(), is_worth_another_try);
        let retrier = retrier.on_retry(move |attempt, error, delay| {
            let cause = (error.class(), error.to_string());
            let retry =
                Retry::new(RetryOf::Catalog, tenant.as_ref(), (attempt, most), delay, cause);
            told.observer().retrying(retry);
        });
        let mut said = Said::new();
        for ids in ids.chunks(self.catalog.batch().max(1)) {
            let mut resolved = retrier.run(|| self.resolve_once(asked, ids)).await?;
            said.extend(ids.iter().map(|id| {
                let record = resolved.remove(id).transpose().and_then(|record| check(id, record));
                let record =
                    record.map(|found| found.map(|record| self.rules.completed_in_tier(record)));
                (id.clone(), record.map_err(Arc::new))
            }));
        }
        Ok(said)
    }

    async fn resolve_once(&self, asked: &Asked, ids: &[TenantId]) -> Result<Resolved, Error> {
        match (self.catalog.batch(), ids) {
            (..=1, [id]) => {
                let record = self.catalog.resolve(self.ask(asked), id).await?;
                Ok(record.map(|record| (id.clone(), Ok(record))).into_iter().collect())
            }
            _ => self.catalog.resolve_many(self.ask(asked), ids).await,
        }
    }

    /// Returns the record of a tenant, with its placement.
    fn placed(&self, said: &Said, id: &TenantId) -> Result<(TenantRecord, Placement), Heard> {
        match said.get(id) {
            Some(Ok(Some(record))) => {
                let placement = self.rules.place(record).map_err(unusable)?;
                Ok((record.clone(), placement))
            }
            Some(Ok(None)) | None => Err(Heard::Verdict(Verdict::Unknown)),
            Some(Err(error)) => Err(Heard::Unusable(Arc::clone(error))),
        }
    }

    /// Returns the limits of a tenant, as its handles and its tenant pool have them from now on. They
    /// are those that the catalog had at this time.
    fn limits(&self, record: &TenantRecord, asked: Duration) -> Result<Arc<LiveLimits>, Error> {
        let limits = self.rules.limits(record)?;
        let live = self.memory.limits(&record.id);
        live.set(limits, asked);
        Ok(live)
    }

    /// Returns a tenant that may be served.
    fn served(&self, placed: Placed) -> Result<Placed, Heard> {
        if placed.record.state.is_served() {
            return Ok(placed);
        }
        let Placed { record, placement, limits } = placed;
        // It is refused anyway, whenever it was looked up.
        let known = self.rules.known(record, placement, None, limits, Instant::now());
        let suspended = known.map_err(unusable)?;
        Err(Heard::Verdict(Verdict::Suspended(Arc::new(suspended))))
    }

    /// Builds the entries of tenants, with the schemas that their names currently refer to.
    async fn known(
        &self,
        asked: &Asked,
        placed: Vec<Result<Placed, Heard>>,
        looked_up: Instant,
    ) -> Vec<Result<Arc<Known>, Heard>> {
        let unseen = placed.iter().filter_map(|placed| match placed {
            Ok(Placed { record, placement, .. })
                if record.schema.is_none() && is_looked_up(record, placement) =>
            {
                Some(placement.container().clone())
            }
            _ => None,
        });
        let seen = self.seen_now(asked, unseen.collect()).await;
        let known = placed.into_iter().map(|placed| {
            let Placed { record, placement, limits } = placed?;
            // A name can be reused; the schema that it refers to now is part of the handle's
            // identity.
            let named = |seen: &HashMap<String, SchemaOid>| {
                let there = seen.get(placement.container().as_str());
                there.map_or(Schema::Missing, |oid| Schema::There(*oid))
            };
            let seen = seen.as_ref().filter(|_| is_looked_up(&record, &placement));
            let schema = record.schema.or_else(|| seen.map(named));
            let known = self.rules.known(record, placement, schema, limits, looked_up);
            known.map(Arc::new).map_err(unusable)
        });
        known.collect()
    }

    /// Looks up which schemas have these names, for a catalog that does not inspect schemas itself.
    /// Such a catalog does not depend on the server and must not be delayed by it: if the server
    /// has never answered, or does not answer soon, the first session that is bound decides.
    async fn seen_now(
        &self,
        asked: &Asked,
        containers: Vec<Ident>,
    ) -> Option<HashMap<String, SchemaOid>> {
        if containers.is_empty() || !asked.library.has_answered() {
            return None;
        }
        let look = async {
            let _share = match &self.connections {
                Some(connections) => connections.acquire().await.ok(),
                None => None,
            };
            asked.library.schemas_named(&containers).await
        };
        timeout(SOON, look).await.ok()?.ok()
    }
}

/// Returns `true` if the schema of a tenant is looked up when its record is read: only those in the
/// manager's own database can be, and schemas that all tenants use belong to none of them. While a
/// tenant changes places, its schema may be gone, or renamed to keep others out.
fn is_looked_up(record: &TenantRecord, placement: &Placement) -> bool {
    placement.isolation() == IsolationKind::Schema
        && placement.server() == MAIN
        && record.state != TenantState::Cutover
}

/// How long the look-up of schemas may delay the answer of a catalog.
const SOON: Duration = Duration::from_millis(500);

/// A request that timed out waiting for a connection would only wait again.
fn is_worth_another_try(error: &Error) -> bool {
    error.is_transient() && !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Overloaded)
}

/// Refuses a record that belongs to another tenant.
fn check(id: &TenantId, record: Option<TenantRecord>) -> Result<Option<TenantRecord>, Error> {
    match record {
        Some(record) if record.id != *id => {
            let attempted = format!("the catalog answered with tenant {}", record.id);
            Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(id))
        }
        record => Ok(record),
    }
}

fn unusable(error: Error) -> Heard {
    Heard::Unusable(Arc::new(error))
}
