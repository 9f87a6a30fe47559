//! Where a tenant is after a handle has not found it where it was.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Asked,
    desk::Rank,
    in_time,
    lookup::Lookup,
    memory::{Found, Verdict},
    questions::SELDOM,
    rules::Known,
};
use crate::{
    db::{Lost, LostAt, Standing},
    error::{Error, ErrorKind},
    tenant::{IsolationKind, Placement, Tenant, TenantId, TenantState},
};

/// How often the catalog is asked, past the cache, about a tenant that is on its way.
const OFTEN: Duration = Duration::from_millis(50);

/// Where a tenant is.
pub(crate) enum Moved {
    /// Where it was, or it is not known to be the same tenant.
    Not,
    There(Arc<Known>),
    /// On its way still at the deadline.
    Underway,
    /// No tenant has its id any longer, or another one.
    Gone,
}

impl Lookup {
    /// Finds the place where a tenant is now. Asks the catalog past the cache, at most once a second
    /// for each tenant, and waits until the deadline while the tenant is on its way.
    ///
    /// # Cancel safety
    ///
    /// Safe: another caller that waits for the same answer takes over.
    pub(crate) async fn moved(&self, asked: &Asked, lost: Lost<'_>, deadline: Instant) -> Moved {
        let id = lost.tenant.id();
        if !can_be_told(lost.tenant) {
            return Moved::Not;
        }
        for is_new in [false, true] {
            if is_new {
                self.renew(asked, id, SELDOM).await;
            }
            match self.settled(asked, id, deadline).await {
                Ok(Some((known, waited))) if is_followed(lost, &known, waited) => {
                    if known.tenant.placement() != lost.tenant.placement() {
                        lost.occupant.retire();
                    }
                    if is_new || waited {
                        // Only questions that find nothing new have to be seldom.
                        self.0.questions.forget(id);
                    }
                    return Moved::There(known);
                }
                Ok(Some((known, _))) if is_new && !is_same_tenant(lost.tenant, &known.tenant) => {
                    return Moved::Gone;
                }
                Ok(Some(_)) => {}
                Ok(None) => return Moved::Underway,
                Err(error) if error.kind() == ErrorKind::UnknownTenant => {
                    if is_new {
                        return Moved::Gone;
                    }
                }
                // What has failed says more than that the catalog does not know.
                Err(_) => return Moved::Not,
            }
        }
        Moved::Not
    }

    /// Returns what is known of the place of a handle's tenant. Asks nothing.
    pub(crate) fn standing(&self, tenant: &Tenant) -> Standing {
        if !can_be_told(tenant) {
            return Standing::Here;
        }
        match self.0.memory.find(tenant.id()) {
            Found::Fresh(Verdict::Known(known)) => {
                let now = &known.tenant;
                let is_gone = is_later(tenant.placement(), now.placement());
                match is_same_tenant(tenant, now)
                    && (is_gone || now.state() == TenantState::Cutover)
                {
                    true => Standing::Elsewhere,
                    false => Standing::Here,
                }
            }
            Found::Nothing(_) if self.0.memory.has_changed(tenant.id()) => Standing::Changed,
            // While the catalog does not answer, the tenant is served where it was.
            Found::Fresh(_) | Found::Stale(_) | Found::Nothing(_) => Standing::Here,
        }
    }

    /// Returns the tenant once it is not on its way, and whether that had to be waited for. `None`
    /// if it still is at the deadline.
    async fn settled(
        &self,
        asked: &Asked,
        id: &TenantId,
        deadline: Instant,
    ) -> Result<Option<(Arc<Known>, bool)>, Error> {
        let settled = async {
            let mut waited = false;
            loop {
                let changed = self.0.changed.notified();
                let known = self.find(asked, id).await?;
                if known.tenant.state() != TenantState::Cutover {
                    return Ok((known, waited));
                }
                waited = true;
                if timeout(OFTEN, changed).await.is_err() {
                    self.renew(asked, id, OFTEN).await;
                }
            }
        };
        timeout_at(deadline, settled).await.map_or(Ok(None), |settled| settled.map(Some))
    }

    /// Asks the catalog past the cache, unless it was asked this recently. The answer is cached;
    /// while there is none, what was cached stays.
    async fn renew(&self, asked: &Asked, id: &TenantId, every: Duration) {
        let question = self.0.questions.latest(id, every);
        let ask = async || {
            self.0.outdate(id);
            drop(in_time(self.0.timeout, self.load(asked, id, Rank::Known)).await);
        };
        question.get_or_init(ask).await;
    }
}

/// Returns `true` if a handle goes on with what is known of its tenant now.
///
/// The tenant must be the same one, and not a later one with its id; so the catalog has to tell when
/// it was created. It must be at another place than the one that was tried, or have come back to it.
fn is_followed(lost: Lost<'_>, now: &Known, waited: bool) -> bool {
    let was = lost.tenant;
    if now.occupant.is_refused() || !is_same_tenant(was, &now.tenant) {
        return false;
    }
    if is_later(was.placement(), now.tenant.placement()) {
        return !now.occupant.is_same(lost.occupant);
    }
    let returned = waited || lost.at == LostAt::Acquire;
    was.placement() == now.tenant.placement() && returned && is_in_same_schema(lost, now)
}

fn is_same_tenant(was: &Tenant, now: &Tenant) -> bool {
    can_be_told(was) && was.created_at() == now.created_at()
}

/// Returns `true` if a tenant can be told from a later one with its id. A handle that was created
/// while its tenant was on its way was never tied to a place.
fn can_be_told(tenant: &Tenant) -> bool {
    tenant.created_at().is_some() || tenant.state() == TenantState::Cutover
}

fn is_later(was: &Placement, now: &Placement) -> bool {
    was != now && now.epoch() >= was.epoch()
}

/// Returns `true` if nothing was recreated where the tenant was.
fn is_in_same_schema(lost: Lost<'_>, now: &Known) -> bool {
    match lost.occupant.oid() {
        // Outside the catalog's database, only the first session finds it.
        Some(schema) => now.occupant.oid().is_none_or(|now| now == schema),
        None => {
            lost.tenant.state() == TenantState::Cutover
                || now.tenant.placement().isolation() == IsolationKind::Row
        }
    }
}
