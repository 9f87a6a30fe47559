//! Handles that follow their tenant to another place.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Handle,
    handle::{Failed, Run},
    rows::Rows,
    statement::Statement,
    whereabouts::{
        Follows, Found, Lost, LostAt, Standing, Whereabout, Whereabouts, finds_nothing, gone,
        may_be_elsewhere, moved,
    },
};
use crate::{
    error::Error,
    pool::{Lease, Occupant, Purpose, after},
    tenant::Tenant,
};

/// How often an acquire or a statement follows a tenant that moves again meanwhile.
const HOPS: usize = 3;

impl Handle {
    /// Makes the handle follow its tenant.
    pub(crate) fn following(self, tenant: Tenant, whereabouts: Arc<dyn Whereabouts>) -> Self {
        Self { follows: Some(Follows { tenant, whereabouts }), ..self }
    }

    /// Checks out a connection where the tenant is.
    pub(super) async fn acquire_within(
        &self,
        limit: Duration,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        if self.follows.is_none() {
            return self.server.acquire_within(limit, &self.occupant, purpose).await;
        }
        let began = Instant::now();
        let mut refusal = None;
        // Where it is known to be refused, nothing is counted as a failure before it is one.
        if !self.occupant.is_refused() {
            match self.server.acquire_within(limit, &self.occupant, purpose).await {
                Err(error) if may_be_elsewhere(&error) => refusal = Some(error),
                acquired => return acquired,
            }
        }
        Box::pin(self.acquire_elsewhere(refusal, (began, limit), purpose)).await
    }

    /// Checks out a connection that serves more than one statement, within this limit. Its later statements cannot
    /// [follow](Self::run_elsewhere) the tenant, so if that is known to be on its way, it is waited for.
    pub(super) async fn acquire_settled(
        &self,
        limit: Duration,
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let Some(Follows { tenant, whereabouts }) = &self.follows else {
            return self.acquire_within(limit, purpose).await;
        };
        let standing = whereabouts.standing(tenant);
        // What the task holds already, the move waits for.
        if standing == Standing::Here || self.server.is_nested(&self.occupant) {
            return self.acquire_within(limit, purpose).await;
        }
        let began = Instant::now();
        if standing == Standing::Changed {
            whereabouts.hear(tenant, limit).await;
            if whereabouts.standing(tenant) != Standing::Elsewhere {
                let left = limit.saturating_sub(began.elapsed());
                return self.acquire_within(left, purpose).await;
            }
        }
        Box::pin(self.acquire_elsewhere(None, (began, limit), purpose)).await
    }

    /// Checks out a connection where the tenant is now.
    async fn acquire_elsewhere(
        &self,
        mut refusal: Option<Error>,
        (began, limit): (Instant, Duration),
        purpose: Purpose,
    ) -> Result<Lease, Error> {
        let (mut at, deadline) = (self.clone(), after(limit.saturating_sub(began.elapsed())));
        for _ in 0..HOPS {
            match at.place(&at.occupant, LostAt::Acquire, deadline).await {
                Whereabout::There(found) => at = at.moved_to(found),
                Whereabout::Here | Whereabout::Gone => break,
                Whereabout::Underway => {
                    return Err(at.server.not_moved_in_time(&at.occupant, limit));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match at.server.acquire_within(left, &at.occupant, purpose).await {
                Err(error) if may_be_elsewhere(&error) => refusal = Some(error),
                acquired => return acquired,
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => at.server.acquire_within(limit, &at.occupant, purpose).await,
        }
    }

    /// Checks out an idle connection where the tenant is.
    pub(super) async fn try_acquire(&self, purpose: Purpose) -> Result<Option<Lease>, Error> {
        let taken = self.server.try_acquire(&self.occupant, purpose).await;
        match taken {
            Err(error) if may_be_elsewhere(&error) => {
                match self.place(&self.occupant, LostAt::Acquire, Instant::now()).await {
                    Whereabout::There(found) => {
                        found.server.try_acquire(&found.occupant, purpose).await
                    }
                    Whereabout::Here | Whereabout::Gone => Err(error),
                    Whereabout::Underway => Ok(None),
                }
            }
            taken => taken,
        }
    }

    /// Returns `true` if a statement may have failed because the tenant is at another place.
    pub(super) fn may_have_lost(&self, error: &sqlx::Error) -> bool {
        self.follows.is_some() && finds_nothing(error)
    }

    /// Runs a statement that has failed again, if the tenant has moved and nothing can have been
    /// done. No connection is held meanwhile: the catalog may need one.
    pub(super) async fn run_elsewhere<T: Rows>(
        &self,
        mut failed: Failed,
        run: Run<T>,
    ) -> sqlx::Result<T> {
        let mut at = self.clone();
        for _ in 0..HOPS {
            let (there, error) = at.place_after(&failed.occupant, failed.error).await?;
            at = there;
            let Some(statement) = failed.again else { return Err(at.has_moved(error)) };
            let lease = at.acquire().await?;
            match at.attempt(lease, statement, run).await {
                Ok(done) => return Ok(done),
                Err(next) if at.may_have_lost(&next.error) => failed = *next,
                Err(next) => return Err(next.error),
            }
        }
        Err(failed.error)
    }

    /// Returns a handle on the place where the tenant of a statement that has found nothing is now,
    /// and the statement's error.
    ///
    /// # Errors
    ///
    /// The statement's if the tenant is where it was run;
    /// [`StaleHandle`](crate::ErrorKind::StaleHandle) when the tenant is gone;
    /// [`Timeout`](crate::ErrorKind::Timeout) when it is on its way for too long.
    async fn place_after(
        &self,
        occupant: &Arc<Occupant>,
        error: sqlx::Error,
    ) -> sqlx::Result<(Self, sqlx::Error)> {
        let limit = self.server.options().acquire_timeout;
        match (self.place(occupant, LostAt::Statement, after(limit)).await, &self.follows) {
            (Whereabout::There(found), _) => Ok((self.moved_to(found), error)),
            (Whereabout::Gone, Some(follows)) => Err(gone(&follows.tenant, error)),
            (Whereabout::Here | Whereabout::Gone, _) => Err(error),
            (Whereabout::Underway, _) => Err(self.server.not_moved_in_time(occupant, limit).into()),
        }
    }

    /// Checks out a connection for a stream that has failed, if the tenant has moved and nothing can
    /// have been done.
    pub(super) async fn found_again(&self, failed: Failed) -> sqlx::Result<(Lease, Statement)> {
        let Failed { error, again, occupant } = failed;
        let (there, error) = self.place_after(&occupant, error).await?;
        match again {
            None => Err(there.has_moved(error)),
            Some(again) => Ok((there.acquire().await?, again)),
        }
    }

    /// Returns the error of a statement that cannot be run again.
    fn has_moved(&self, error: sqlx::Error) -> sqlx::Error {
        match &self.follows {
            Some(follows) => moved(&follows.tenant, error),
            None => error,
        }
    }

    async fn place(&self, occupant: &Arc<Occupant>, at: LostAt, deadline: Instant) -> Whereabout {
        match &self.follows {
            None => Whereabout::Here,
            Some(Follows { tenant, whereabouts }) => {
                whereabouts.find(Lost { tenant, occupant, at }, deadline).await
            }
        }
    }

    fn moved_to(&self, found: Found) -> Self {
        let Found { server, occupant, tenant } = found;
        // What is written there, no replica of this server gets.
        self.server.read_no_more(&self.occupant);
        let follows = self.follows.as_ref();
        let follows = follows.map(|Follows { whereabouts, .. }| Follows {
            tenant,
            whereabouts: Arc::clone(whereabouts),
        });
        Self { server, occupant, watched: self.watched.clone(), follows }
    }
}
