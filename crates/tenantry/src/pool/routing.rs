//! Which server answers a read: a replica that has what it needs, or the primary.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    examining::is_elsewhere,
    lease::Lease,
    occupant::Occupant,
    replicas::{
        Case, ConsistencyToken, Instance, Judgement, Lsn, Need, Sample, Seen, Shortfall, WAIT,
        judge,
    },
    server::{Replica, Replicas, Server},
    session::Purpose,
    writing::Writing,
};
use crate::{
    error::{Error, ErrorKind},
    event::ReplicaState,
    tenant::TenantId,
};

/// How often a replica is asked in a row where it is; afterwards there is a pause before each question.
const AT_ONCE: usize = 4;

/// When a read that waits begins its last question at the latest, so that the answer comes within [`WAIT`]. It is not
/// cut off, which would cost the connection.
const LAST_QUESTION: Duration = Duration::from_millis(15);

const PAUSE: Duration = Duration::from_millis(1);

impl Server {
    /// Records in a lease whether its user may write, and that reads of the tenant have to see it.
    pub(super) fn note_writer(&self, lease: Lease, purpose: Purpose) -> Lease {
        if matches!(purpose, Purpose::Reading(_)) {
            return lease.only_reading();
        }
        let Some(replicas) = self.replicas().filter(|_| purpose.may_write()) else { return lease };
        let tenant = lease.occupant().tenant().cloned();
        if tenant.is_none() && purpose != Purpose::Upkeep {
            return lease;
        }
        lease.writing(Writing::begin(replicas, tenant.as_ref(), purpose))
    }

    /// Asks the server for the position of everything that was committed, as a token.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<ConsistencyToken, Error> {
        self.position().await.map(|seen| ConsistencyToken::new(seen.history, seen.lsn))
    }

    /// Asks the server for the position of everything that was committed.
    async fn position(self: &Arc<Self>) -> Result<Seen, Error> {
        let limit = self.options.acquire_timeout;
        let mut lease = self.acquire_within(limit, self.system(), Purpose::Read).await?;
        let seen = lease.look().await?;
        if seen.in_recovery {
            let attempted =
                "asking for a position in the log: the server is in recovery, and takes no writes";
            return Err(self.name_in(Error::new(ErrorKind::ReadOnly, attempted)));
        }
        Ok(seen)
    }
}

impl Replicas {
    /// Checks out a connection to a replica that has everything that the tenant has written in this
    /// process, and everything up to the token. `None` if the read has to go to the primary, which is
    /// counted with the reason.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        token: Option<ConsistencyToken>,
        purpose: Purpose,
    ) -> Option<Lease> {
        let leased = self.try_lease(occupant, token, purpose).await;
        let primary = self.primary.upgrade()?;
        let reads = &primary.observer.meters.reads;
        reads.count(leased.as_ref().err().map_or("replica", |shortfall| shortfall.as_str()));
        leased.ok()
    }

    /// Counts a read that a replica has begun to answer, and the primary has to answer.
    pub(crate) fn note_conflict(&self) {
        if let Some(primary) = self.primary.upgrade() {
            primary.observer.meters.reads.count("conflict");
        }
    }

    async fn try_lease(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
        token: Option<ConsistencyToken>,
        purpose: Purpose,
    ) -> Result<Lease, Shortfall> {
        let tenant = occupant.tenant().filter(|_| occupant.can_read_on_replicas());
        let tenant = tenant.filter(|_| !occupant.is_refused()).ok_or(Shortfall::Unsuited)?;
        let reader = self.reader(tenant, occupant);
        let now = self.now();
        let may_be_back = self.all().filter(|replica| replica.standing.may_be_back(now));
        may_be_back.for_each(|replica| self.probe(replica));
        let replica = self.choose().ok_or(Shortfall::Away)?;
        let began = Instant::now();
        let required = self.required(tenant, token).await?;
        let asked_for = began.elapsed();
        let limit = replica.connects_within();
        let acquired = replica.server.acquire_within(limit, &reader, purpose).await;
        let mut lease = acquired.map_err(|error| self.note_refusal(replica, &error))?;
        let began = Instant::now();
        let left = LAST_QUESTION.saturating_sub(asked_for);
        let settled = self.settle(&mut lease, purpose, replica, required, began + left).await;
        if let Some(primary) = self.primary.upgrade() {
            primary.observer.meters.waited_for_replica(asked_for + began.elapsed());
        }
        settled.map(|()| lease)
    }

    /// Returns the position at which a replica has to be for a read of the tenant.
    async fn required(
        self: &Arc<Self>,
        tenant: &TenantId,
        token: Option<ConsistencyToken>,
    ) -> Result<Lsn, Shortfall> {
        let (newest, spacing) = {
            let trail = self.trail.lock();
            (trail.newest(), trail.spacing())
        };
        let need = self.marks.lock().need(tenant, newest.map(|sample| sample.history));
        let now = self.now();
        let is_known = |newest: &Sample| {
            now.saturating_sub(newest.asked) < spacing
                && token.is_none_or(|token| token.is_within(newest.history, newest.lsn))
        };
        let (own, newest) = match (need, newest.filter(is_known)) {
            (Need::At(lsn), Some(newest)) => (lsn, newest),
            (need, _) => {
                let sample = self.ask_in_time(tenant, need).await?;
                let is_same = newest.is_some_and(|newest| newest.history == sample.history);
                match need {
                    Need::At(lsn) if is_same => (lsn, sample),
                    Need::At(_) | Need::After(_) => (sample.lsn, sample),
                }
            }
        };
        match token {
            None => Ok(own),
            Some(token) if token.history() != newest.history => {
                if token.history().supersedes(newest.history) {
                    self.search_promoted().await;
                }
                Err(Shortfall::Token)
            }
            // The primary has just been asked, and has not written anything at that position.
            Some(token) if token.lsn() > newest.lsn => Ok(own),
            Some(token) => Ok(own.max(token.lsn())),
        }
    }

    /// Asks the primary where it is. An answer that comes too late for this read serves later ones.
    async fn ask_in_time(
        self: &Arc<Self>,
        tenant: &TenantId,
        need: Need,
    ) -> Result<Sample, Shortfall> {
        let primary = self.primary.upgrade().ok_or(Shortfall::NoPrimary)?;
        primary.start();
        let (asked, replicas, tenant) = (self.now(), Arc::clone(self), tenant.clone());
        let asking = primary.spawn(async move {
            let sample = replicas.ask(asked).await?;
            if let Need::After(write) = need {
                let Sample { history, lsn, .. } = sample;
                replicas.marks.lock().learned(&tenant, write, history, lsn);
            }
            Ok(sample)
        });
        let asking = asking.ok_or(Shortfall::NoPrimary)?;
        match timeout(LAST_QUESTION, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Shortfall::NoPrimary),
        }
    }

    /// Returns a position of the primary that was asked for after this time. One question at a time
    /// serves all that wait.
    pub(super) async fn ask(&self, after: Duration) -> Result<Sample, Shortfall> {
        let _turn = self.turn.lock().await;
        if let Some(newest) = self.trail.lock().newest()
            && newest.asked >= after
        {
            return Ok(newest);
        }
        let primary = self.primary.upgrade().ok_or(Shortfall::NoPrimary)?;
        let asked = self.now();
        let Seen { history, lsn, database, .. } =
            primary.position().await.map_err(|_| Shortfall::NoPrimary)?;
        let sample = Sample { history, lsn, database, asked };
        if primary.connector.lineage.as_ref().is_some_and(|lineage| !lineage.note(sample.history)) {
            return Err(Shortfall::NoPrimary);
        }
        match self.trail.lock().note(sample) {
            true => Ok(sample),
            false => Err(Shortfall::NoPrimary),
        }
    }

    /// Waits until the server of a lease is at a position, and finds out whether it may be used at all.
    async fn settle(
        self: &Arc<Self>,
        lease: &mut Lease,
        purpose: Purpose,
        replica: &Arc<Replica>,
        required: Lsn,
        deadline: Instant,
    ) -> Result<(), Shortfall> {
        let known = |started| replica.standing.instances.lock().get(started);
        let mut instance = lease.server_started().and_then(known);
        let (mut questions, mut is_rebound) = (0, false);
        loop {
            let is_fresh = questions > 0;
            match self.judge(replica, instance, is_fresh, required, lease) {
                Judgement::Serve => {
                    replica.note_state(ReplicaState::InUse, None);
                    return Ok(());
                }
                Judgement::Not(shortfall) => {
                    self.note_shortfall(replica, instance, shortfall);
                    return Err(shortfall);
                }
                Judgement::Rebind if !is_rebound => {
                    is_rebound = true;
                    let bound = lease.rebind(purpose).await.map_err(Error::from);
                    bound.map_err(|error| self.note_refusal(replica, &error))?;
                    continue;
                }
                Judgement::Rebind => return Err(Shortfall::Behind),
                Judgement::Ask if is_fresh && Instant::now() >= deadline => {
                    return Err(Shortfall::Behind);
                }
                Judgement::Ask => {}
            }
            if questions >= AT_ONCE {
                sleep(PAUSE).await;
            }
            questions += 1;
            // At least one question is asked, however long the primary took.
            let seen = timeout(WAIT, lease.look()).await;
            let Ok(Ok(seen)) = seen else {
                replica.note_state(ReplicaState::Away, None);
                return Err(Shortfall::Away);
            };
            self.note_promoted(&seen);
            instance = Some(replica.note_seen(lease, seen));
        }
    }

    fn judge(
        &self,
        replica: &Replica,
        instance: Option<Instance>,
        is_fresh: bool,
        required: Lsn,
        lease: &Lease,
    ) -> Judgement {
        let (trail, limits, now) = (self.trail.lock(), replica.limits, self.now());
        let (bound, is_elsewhere) = (lease.bound_at(), is_elsewhere(lease));
        let trail = &trail;
        judge(Case { instance, is_fresh, is_elsewhere, required, bound, trail, limits, now })
    }

    /// Leaves a replica alone for a while that is of no use to any read.
    fn note_shortfall(&self, replica: &Replica, instance: Option<Instance>, shortfall: Shortfall) {
        let newest = self.trail.lock().newest();
        let lag = newest.zip(instance).map(|(newest, of)| of.lsn.behind(newest.lsn));
        match shortfall {
            Shortfall::Lagging => replica.note_state(ReplicaState::Lagging, lag),
            Shortfall::Unrelated => replica.note_state(ReplicaState::Unrelated, None),
            _ => {}
        }
    }
}
