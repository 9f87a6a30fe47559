use sqlx::PgConnection;

use super::{
    Destination, MoveMethod, MoveOptions, MovePlan, MoveRecord, MoveReport, Obstacles, Swept,
    ends::Ends,
    examine::Examination,
    failure::told,
    id::MoveId,
    ledger::{Ledger, Mine, NewMove, Which},
    progress::Teller,
    run::{Outcome, Run, Said},
    tidy,
};
use crate::{
    catalog::CatalogChange,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::Provisioner,
    tenant::{ParseTenantIdError, TenantId, TenantRecord, TenantState},
};

/// Moves tenants from one server to another, and from one kind of isolation to another.
///
/// Created by [`TenantManager::mover`](crate::TenantManager::mover). It takes its connections from the budgets of the
/// servers. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// use tenantry::moves::MoveOptions;
///
/// let mover = manager.mover();
/// println!("{}", mover.plan("acme", "eu-1", &MoveOptions::default()).await?);
/// let report = mover.move_tenant("acme", "eu-1", MoveOptions::default()).await?;
/// println!("{report}");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a mover does nothing until one of its methods is called"]
pub struct Mover {
    fleet: Fleet,
}

/// The result of a move that was taken over.
#[derive(Debug)]
#[non_exhaustive]
pub struct TakenOver {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The report of a move that was completed; the error of one that was undone, or that is still unfinished.
    pub result: Result<MoveReport, Error>,
}

impl Mover {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Looks for what prevents a move, and estimates how long requests would wait. Changes nothing: the structure is
    /// created on the target in a transaction that is rolled back, and a sample of rows is copied into a temporary
    /// table.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`Placement`](ErrorKind::Placement) if there is no such server,
    /// or it drains; [`Config`](ErrorKind::Config) if the tenant is there already, or a database is named for another kind;
    /// and connection errors. What
    /// prevents the move is part of the plan.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn plan<I>(
        &self,
        id: I,
        to: impl Into<Destination>,
        options: &MoveOptions,
    ) -> Result<MovePlan, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        options.check()?;
        let ends = Ends::find(&self.fleet, &id, &to.into()).await?;
        let plan = Box::pin(Examination::of(&ends, options)).await;
        plan.map_err(|error| error.with_tenant_unless_named(&id))
    }

    /// Moves a tenant to another server, or to another kind of isolation: its schema with all contents, or its rows. The
    /// tenant is served meanwhile, except for a pause during which its requests wait.
    ///
    /// Everything that could prevent the move is checked before anything is changed. From then on, each step is
    /// recorded in a table `tenantry_moves` of the shared schema. If a step fails before the tenant is served on the
    /// target, the move is undone. If this process dies, another one can [take over](Self::take_over).
    ///
    /// During the move, the tenant is neither migrated nor renamed, suspended or dropped: these return
    /// [`Busy`](ErrorKind::Busy). Afterwards, handles in all processes go on at the target. A transaction that was
    /// open, and has written, delays the move. One that has only read is waited for, for a moment, and then fails at its
    /// next statement; processes that hear of the change begin no other one meanwhile.
    ///
    /// The schema on the source is kept under another name, or the rows stay in the tables of all tenants, for as long as
    /// [`keep`](MoveOptions::keep) says.
    ///
    /// # Errors
    ///
    /// [`Move`](ErrorKind::Move) if something prevents the move, with [`Obstacles`] as the source, or if a step has
    /// failed and the move was undone, with the cause as the source. [`Unavailable`](ErrorKind::Unavailable) if the
    /// move is left unfinished, because a server is away: the message says what to do.
    /// [`Busy`](ErrorKind::Busy) if the tenant is on another move, or another process has taken this one over.
    /// Otherwise like [`plan`](Self::plan).
    ///
    /// # Cancel safety
    ///
    /// When dropped, the move is undone in the background, unless the tenant is served on the target already; then it
    /// is completed. [`close`](crate::TenantManager::close) waits for this.
    pub async fn move_tenant<I>(
        &self,
        id: I,
        to: impl Into<Destination>,
        options: MoveOptions,
    ) -> Result<MoveReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        // A separate boxed future, to keep the callers' futures small.
        let to = to.into();
        let moved = Box::pin(self.move_now(&id, &to, &options)).await;
        moved.map_err(|error| error.with_tenant_unless_named(&id))
    }

    async fn move_now(
        &self,
        id: &TenantId,
        to: &Destination,
        options: &MoveOptions,
    ) -> Result<MoveReport, Error> {
        options.check()?;
        let ends = Ends::find(&self.fleet, id, to).await?;
        self.refuse_on_the_way(id).await?;
        let plan = Examination::of(&ends, options).await?;
        if !plan.obstacles.is_empty() {
            let attempted = format!("moving it {}: nothing was changed", ends.in_words());
            let obstacles = Obstacles::new(plan.obstacles);
            return Err(Error::new(ErrorKind::Move, attempted).with_source(obstacles));
        }
        let mine = Mine { id: MoveId::new(), owner: owner(), attempt: 1 };
        self.begin(&ends, &mine, &plan, options).await?;
        let row = self.row(mine.id).await?;
        let teller = Teller {
            on_progress: options.on_progress.clone(),
            tenant_id: id.clone(),
            bytes_total: plan.bytes,
            method: plan.method,
            pause: Some(plan.pause),
        };
        match self.drive(ends, mine, row, teller, (said(options), false)).await? {
            Outcome::Moved(mut report) => {
                if report.method == MoveMethod::UnderFence {
                    report.not_replicated = plan.not_replicated;
                }
                report.not_logged = plan.not_logged;
                Ok(*report)
            }
            Outcome::Undone(error) => Err(error),
        }
    }

    /// Works on a move in a task, so that it is undone in an orderly way when the caller gives up.
    async fn drive(
        &self,
        ends: Ends,
        mine: Mine,
        row: MoveRecord,
        teller: Teller,
        how: (Said, bool),
    ) -> Result<Outcome, Error> {
        let main = self.fleet.main();
        let cancel = main.closing().child_token();
        let given_up = cancel.clone().drop_guard();
        let run = Run::new(ends, mine, row, teller, cancel, how);
        main.start();
        let outcome = match main.spawn_work(run.drive()) {
            Some(task) => task.await.unwrap_or_else(|died| {
                let attempted = "moving it: the task was ended; take the move over";
                Err(Error::new(ErrorKind::Unavailable, attempted).with_source(died))
            }),
            None => Err(Error::new(ErrorKind::Closed, "moving it")),
        };
        given_up.disarm();
        outcome
    }

    /// Refuses a tenant that is on an unfinished move.
    async fn refuse_on_the_way(&self, id: &TenantId) -> Result<(), Error> {
        let open = self.read(Which::OpenOf(id)).await?;
        let Some(open) = open.first() else { return Ok(()) };
        let attempted = format!(
            "moving it: it is on a move from server {} to {} (stage {}): wait for its end, cancel it, or take it over",
            open.from, open.to, open.stage
        );
        Err(Error::new(ErrorKind::Busy, attempted))
    }

    /// Records the move, and that the tenant is on its way.
    async fn begin(
        &self,
        ends: &Ends,
        mine: &Mine,
        plan: &MovePlan,
        options: &MoveOptions,
    ) -> Result<(), Error> {
        let ledger = Ledger::new(&self.fleet);
        let mut lease = self.fleet.lease().await?;
        ledger.ensure(&mut lease).await?;
        drop(lease);
        let (record, epoch) = (&ends.record, ends.record.epoch);
        let _forget = self.fleet.forget_after(vec![record.id.clone()]);
        let provisioner = Provisioner::new(self.fleet.clone());
        let mut tx = provisioner.begin_shared().await?;
        let new = NewMove {
            mine,
            tenant: &record.id,
            from: ends.from(),
            to: ends.to(),
            schema: &ends.schema,
            places: &ends.places()?,
            epoch,
            method: plan.method,
            fence_tries: options.fence_tries,
            verify: options.verify,
            keep: options.keep,
            take_over_after: options.take_over_after,
            bytes: plan.bytes,
        };
        ledger.begin(&mut tx, new).await?;
        let (from, to) = (TenantState::Active, TenantState::Moving);
        let change = CatalogChange::Moving { tenant: &record.id, epoch, from, to };
        self.fleet.write(&mut tx, change).await?;
        provisioner.commit(tx).await?;
        self.fleet.forget(&record.id);
        Ok(())
    }

    /// Continues or undoes moves whose mover was silent for longer than
    /// [`take_over_after`](MoveOptions::take_over_after), one after the other, and tidies up after others. Any process
    /// with the same servers may call it at any time: run it at the start of a service, and from time to time.
    ///
    /// A move whose requests wait is completed if the target is verified, and undone otherwise.
    ///
    /// # Errors
    ///
    /// When the moves cannot be listed.
    ///
    /// # Cancel safety
    ///
    /// As [`move_tenant`](Self::move_tenant).
    pub async fn take_over(&self) -> Result<Vec<TakenOver>, Error> {
        let mut taken = Vec::new();
        for found in self.read(Which::Abandoned).await? {
            let tenant_id = found.tenant_id.clone();
            let result = Box::pin(self.take_one_over(found)).await.transpose();
            taken.extend(result.map(|result| TakenOver { tenant_id, result }));
        }
        Ok(taken)
    }

    async fn take_one_over(&self, found: MoveRecord) -> Result<Option<MoveReport>, Error> {
        // A process that does not know one of the servers leaves the move to others.
        self.ends_of(&found).await?;
        let ledger = Ledger::new(&self.fleet);
        let mut lease = self.fleet.lease().await?;
        let Some(mine) = ledger.take_over(&mut lease, &found, owner()).await? else {
            return Ok(None);
        };
        drop(lease);
        let ends = self.ends_of(&found).await?;
        let row = self.row(mine.id).await?;
        let teller = Teller {
            on_progress: None,
            tenant_id: found.tenant_id.clone(),
            bytes_total: row.bytes,
            method: row.method,
            pause: None,
        };
        match self.drive(ends, mine, row, teller, (Said::default(), true)).await? {
            Outcome::Moved(report) => Ok(Some(*report)),
            Outcome::Undone(error) => Err(error),
        }
    }

    async fn ends_of(&self, found: &MoveRecord) -> Result<Ends, Error> {
        let record = match self.fleet.record(&found.tenant_id).await {
            Ok(record) => record,
            // It was dropped or renamed since it is served on the target.
            Err(error) if error.kind() == ErrorKind::UnknownTenant => {
                TenantRecord::new(found.tenant_id.clone())
            }
            Err(error) => return Err(error),
        };
        let [from, to] = found.of.places.records(&record, [&found.from, &found.to]);
        Ends::between(&self.fleet, from, to)
    }

    /// Asks the mover of a tenant to undo its move. It does so within seconds, unless the tenant is served on the target
    /// already. If that process has died, [`take_over`](Self::take_over) undoes the move.
    ///
    /// # Errors
    ///
    /// [`Move`](ErrorKind::Move) if the tenant is on no move that can be undone.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the mover is either asked or not.
    pub async fn cancel<I>(&self, id: I) -> Result<(), Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        let ledger = Ledger::new(&self.fleet);
        let mut lease = self.fleet.lease().await?;
        let found = ledger.exists(&mut lease).await? && ledger.cancel(&mut lease, &id).await?;
        match found {
            true => Ok(()),
            false => {
                let attempted = "cancelling its move: it is on no move that can be undone";
                Err(Error::new(ErrorKind::Move, attempted).with_tenant(&id))
            }
        }
    }

    /// Lists all moves, the latest first.
    ///
    /// # Errors
    ///
    /// When the query fails.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn list(&self) -> Result<Vec<MoveRecord>, Error> {
        self.read(Which::All).await
    }

    /// Removes what tenants have left at their former places, and whose [time](MoveOptions::keep) is over: schemas,
    /// databases, and rows in the tables of all tenants. What cannot be removed does not affect the others.
    ///
    /// # Errors
    ///
    /// When the moves cannot be listed.
    ///
    /// # Cancel safety
    ///
    /// If dropped, call it again: it continues.
    pub async fn sweep(&self) -> Result<Vec<Swept>, Error> {
        let mut swept = Vec::new();
        for found in self.read(Which::Expired).await? {
            let error = Box::pin(self.sweep_one(&found)).await.err().map(|error| told(&error));
            let (tenant_id, server) = (found.tenant_id, found.from);
            swept.push(Swept { tenant_id, server, schema: found.kept_as, error });
        }
        Ok(swept)
    }

    async fn sweep_one(&self, found: &MoveRecord) -> Result<(), Error> {
        if !self.fleet.servers().all().any(|(name, _)| name == &*found.from) {
            let attempted = format!("there is no server {:?} any more", found.from);
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
        tidy::remove_left(&self.fleet, found).await?;
        let mut lease = self.fleet.lease().await?;
        Ledger::new(&self.fleet).swept(&mut lease, found.of.id).await
    }

    /// Lists the moves whose process was silent for too long, by a session that can read them.
    pub(crate) async fn abandoned(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Vec<MoveRecord>, Error> {
        self.read_on(conn, Which::Abandoned).await
    }

    async fn read(&self, which: Which<'_>) -> Result<Vec<MoveRecord>, Error> {
        self.read_on(&mut *self.fleet.lease().await?, which).await
    }

    async fn read_on(
        &self,
        conn: &mut PgConnection,
        which: Which<'_>,
    ) -> Result<Vec<MoveRecord>, Error> {
        let ledger = Ledger::new(&self.fleet);
        match ledger.exists(conn).await? {
            true => ledger.list(conn, which).await,
            false => Ok(Vec::new()),
        }
    }

    async fn row(&self, id: MoveId) -> Result<MoveRecord, Error> {
        let row = self.read(Which::One(id)).await?.into_iter().next();
        row.ok_or_else(|| Error::new(ErrorKind::Move, "reading its move: it is not on record"))
    }
}

fn said(options: &MoveOptions) -> Said {
    Said { conninfo: options.conninfo.clone(), migrations: options.migrations.clone() }
}

/// Returns a name for this process's work on a move.
fn owner() -> String {
    format!("process {} ({:016x})", std::process::id(), fastrand::u64(..))
}
