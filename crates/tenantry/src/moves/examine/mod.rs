//! Finds what prevents a move, before anything is changed.

mod source;
mod target;

use std::{sync::Arc, time::Duration};

use sqlx::Row;

use super::{
    MoveMethod, MoveOptions, MovePlan, Obstacle, ObstacleKind, attempts::MOVERS, change_log,
    ends::Ends, estimate::Measured, replicate::why_not, sample::Sample,
};
use crate::{
    error::Error,
    fleet::Fleet,
    tenant::{IsolationKind, Placement, TenantState},
};

/// What has to be equal on both servers, or may not be less on the target.
struct Facts {
    version: i32,
    encoding: String,
}

const FACTS: &str = "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
    pg_catalog.current_setting('server_encoding')";

impl Facts {
    async fn read(fleet: &Fleet) -> Result<Self, Error> {
        let mut lease = fleet.lease().await?;
        let row = sqlx::raw_sql(FACTS).fetch_one(&mut *lease).await?;
        Ok(Self { version: row.try_get(0)?, encoding: row.try_get(1)? })
    }

    fn major(&self) -> i32 {
        self.version / 10_000
    }
}

/// Whether the role may have a table in a schema, or it is there, and its name. Parameters: the schema, and the table.
const MAY_RECORD: &str = "\
    select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n \
          on n.oid operator(pg_catalog.=) c.relnamespace \
        where n.nspname::pg_catalog.text operator(pg_catalog.=) $1 and c.relname::pg_catalog.text operator(pg_catalog.=) $2) \
      or coalesce((select pg_catalog.has_schema_privilege(n.oid, 'create') from pg_catalog.pg_namespace n \
          where n.nspname::pg_catalog.text operator(pg_catalog.=) $1), \
        pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')), \
      pg_catalog.quote_ident(current_user::pg_catalog.text)";

/// Looks for everything that could prevent a move.
pub(super) struct Examination<'a> {
    ends: &'a Ends,
    options: &'a MoveOptions,
    obstacles: Vec<Obstacle>,
    remarks: Vec<String>,
    bytes: u64,
    tables: u32,
    sample: Sample,
    structure: Duration,
    method: MoveMethod,
    not_replicated: Vec<String>,
    not_logged: Vec<String>,
}

/// Rows that take longer are copied while the tenant is served, if that can be.
const LONG: Duration = Duration::from_secs(1);

/// How long the last changes of rows take: for each table, and besides that.
const LAST_CHANGES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(30));

impl<'a> Examination<'a> {
    /// Examines a move. Obstacles are part of the result.
    ///
    /// # Errors
    ///
    /// When a server cannot be reached, or does not answer.
    pub(super) async fn of(ends: &'a Ends, options: &'a MoveOptions) -> Result<MovePlan, Error> {
        let mut this = Self {
            ends,
            options,
            obstacles: Vec::new(),
            remarks: Vec::new(),
            bytes: 0,
            tables: 0,
            sample: Sample::default(),
            structure: Duration::ZERO,
            method: MoveMethod::UnderFence,
            not_replicated: Vec::new(),
            not_logged: Vec::new(),
        };
        this.tenant();
        if this.kinds().await? {
            this.catalog().await?;
            this.servers().await?;
            this.records().await?;
            this.source().await?;
            this.way().await?;
            this.target().await?;
        }
        this.budget();
        Ok(this.plan())
    }

    fn found(&mut self, kind: ObstacleKind, what: impl Into<String>) {
        self.obstacles.push(Obstacle::new(kind, what));
    }

    fn tenant(&mut self) {
        let state = self.ends.record.state;
        if state != TenantState::Active {
            let state = state.as_str();
            self.found(
                ObstacleKind::State,
                format!("its state is {state}, and only an active tenant is moved"),
            );
        }
    }

    /// Returns `true` if the manager has what the two kinds of isolation need.
    async fn kinds(&mut self) -> Result<bool, Error> {
        let Ends { control, target, .. } = self.ends;
        let before = self.obstacles.len();
        if self.ends.are_rows() && !control.lookup().isolations().has_rows() {
            let what = "the manager has no settings of rows: add them with ManagerBuilder::isolation or or_isolation";
            self.found(ObstacleKind::Isolation, what);
        }
        if self.ends.are_rows()
            && self.ends.target_kind() != IsolationKind::Row
            && self.options.migrations.is_none()
        {
            let what = "its tables have to be created: give the migrations to MoveOptions::tenants";
            self.found(ObstacleKind::Structure, what);
        }
        if self.ends.target_kind() == IsolationKind::Row
            && let Some(citus) = target.find_citus().await?
        {
            let what = format!("the target has {citus}, where isolation by row is not supported");
            self.found(ObstacleKind::Isolation, what);
        }
        Ok(self.obstacles.len() == before)
    }

    /// A move takes a connection on each server, and one more for the catalog. Comparing the rows while the tenant is
    /// served takes another one on the source.
    fn budget(&mut self) {
        let Ends { control, source, target, .. } = self.ends;
        let is_compared = self.method == MoveMethod::Replication && self.options.verify;
        let is_main = |fleet: &Fleet| Arc::ptr_eq(fleet.server(), control.server());
        let is_one = self.ends.are_on_one_server();
        for (fleet, more) in [(source, is_compared), (target, false)] {
            let needed = 1 + usize::from(is_main(fleet)) + usize::from(more) + usize::from(is_one);
            let places = fleet.server().places_for_upkeep();
            if places < needed {
                let what = format!(
                    "server {} has {places} connections for maintenance, and the move needs {needed}: increase \
                     max_connections",
                    fleet.home().server()
                );
                self.found(ObstacleKind::Budget, what);
            }
        }
    }

    /// The catalog must record moves, and its answer must be where the tenant is.
    async fn catalog(&mut self) -> Result<(), Error> {
        let Ends { control, record, placed: meant, .. } = self.ends;
        let mut lease = control.lease_for(&control.shared_site()).await?;
        if !control.keeps_steps(&mut lease).await? {
            let what = "the catalog cannot record moves, as TableCatalog does";
            self.found(ObstacleKind::Catalog, what);
            return Ok(());
        }
        drop(lease);
        let after = self.ends.moved(record.epoch);
        let placed = control.lookup().place_completed(&after);
        let meant = control.lookup().place(meant);
        let is_there = placed
            .as_ref()
            .is_ok_and(|placed| Some(placed.spot()) == meant.as_ref().ok().map(Placement::spot));
        if !is_there {
            let why = placed.err().map(|error| format!(": {error}")).unwrap_or_default();
            let what = format!(
                "ManagerBuilder::map_records or a tier decides where the tenant is, whatever the catalog records{why}"
            );
            self.found(ObstacleKind::Catalog, what);
        }
        Ok(())
    }

    async fn servers(&mut self) -> Result<(), Error> {
        let source = Facts::read(&self.ends.source).await?;
        let target = Facts::read(&self.ends.target_server()).await?;
        if target.major() < source.major() {
            let what = format!(
                "the target runs PostgreSQL {}, and the source {}: move to the same or a later version",
                target.major(),
                source.major()
            );
            self.found(ObstacleKind::Version, what);
        }
        if target.encoding != source.encoding {
            let what = format!(
                "the encoding of the target is {}, and that of the source {}",
                target.encoding, source.encoding
            );
            self.found(ObstacleKind::Version, what);
        }
        Ok(())
    }

    /// Whether the role may record the move in both databases. Without these records, it could not even be undone.
    async fn records(&mut self) -> Result<(), Error> {
        let Ends { source, target, book, .. } = self.ends;
        let (before, new) = (self.obstacles.len(), self.ends.new_database());
        let places = [Some(source), Some(target).filter(|_| new.is_none())];
        for fleet in places.into_iter().flatten() {
            let mut lease = fleet.lease().await?;
            let may = sqlx::query(MAY_RECORD).bind(book.as_str()).bind(MOVERS).persistent(false);
            let row = may.fetch_one(&mut *lease).await?;
            let (may_record, role): (bool, &str) = (row.try_get(0)?, row.try_get(1)?);
            if !may_record {
                let what = format!(
                    "on server {}, the role {role} may not create the table {MOVERS} in the schema {book}: grant it create \
                     on that schema, or on the database if there is no such schema",
                    fleet.home().server()
                );
                if self.obstacles[before..].iter().all(|of| *of.what != *what) {
                    self.found(ObstacleKind::Privilege, what);
                }
            }
        }
        Ok(())
    }

    /// Finds out how the rows get to the target.
    async fn way(&mut self) -> Result<(), Error> {
        if self.ends.are_rows() {
            return self.way_of_rows().await;
        }
        // Replication maps tables by their qualified names.
        let is_renamed = self.ends.schema != self.ends.to_schema;
        let renamed = is_renamed.then(|| "its schema has another name on the target".to_owned());
        match self.options.method {
            Some(MoveMethod::UnderFence) => {}
            Some(MoveMethod::ChangeLog) => {
                let what = "a log of changes is for rows that leave, or get into, the tables of all tenants: leave the \
                            choice to the mover";
                self.found(ObstacleKind::ChangeLog, what);
            }
            Some(MoveMethod::Replication) => match renamed {
                Some(why) => self.found(ObstacleKind::Replication, why),
                None => {
                    self.method = MoveMethod::Replication;
                    for reason in why_not(self.ends, self.options.conninfo.as_ref()).await? {
                        self.found(ObstacleKind::Replication, reason);
                    }
                }
            },
            None => {
                self.not_replicated = match renamed {
                    Some(why) => vec![why],
                    None => why_not(self.ends, self.options.conninfo.as_ref()).await?,
                };
                if self.not_replicated.is_empty() {
                    self.method = MoveMethod::Replication;
                }
            }
        }
        Ok(())
    }

    /// Rows that leave, or get into, the tables of all tenants are copied while requests wait if that is short.
    async fn way_of_rows(&mut self) -> Result<(), Error> {
        let why = "its rows are in the tables of all tenants at one of the places";
        match self.options.method {
            Some(MoveMethod::UnderFence) => return Ok(()),
            Some(MoveMethod::Replication) => {
                self.found(ObstacleKind::Replication, why);
                return Ok(());
            }
            Some(MoveMethod::ChangeLog) => {}
            None => {
                self.not_replicated.push(why.to_owned());
                if self.structure <= LONG.min(self.options.max_pause) {
                    return Ok(());
                }
            }
        }
        let reasons = change_log::why_not(self.ends).await?;
        if self.options.method.is_some() {
            for reason in &reasons {
                self.found(ObstacleKind::ChangeLog, reason);
            }
        }
        if reasons.is_empty() || self.options.method.is_some() {
            self.method = MoveMethod::ChangeLog;
            let (of_table, besides) = LAST_CHANGES;
            self.structure = of_table * self.tables + besides;
        } else {
            self.not_logged = reasons;
        }
        Ok(())
    }

    fn plan(mut self) -> MovePlan {
        let Self { ends, options, method, .. } = self;
        let Sample { per_table, rate } = self.sample;
        let (bytes, tables, structure) = (self.bytes, self.tables, self.structure);
        // What rows take is in the time for the structure.
        let is_copied = method == MoveMethod::UnderFence && !ends.are_rows();
        let verify = options.verify;
        let measured = Measured { bytes, tables, per_table, rate, structure, is_copied, verify };
        let pause = measured.pause();
        if pause > options.max_pause {
            let limit = options.max_pause;
            let what = format!(
                "requests would wait for about {pause:.1?} while {} is copied, and max_pause is {limit:?}: increase \
                 it, and acquire_timeout",
                match method {
                    MoveMethod::UnderFence => format!("{bytes} bytes"),
                    _ => "the rest".to_owned(),
                }
            );
            self.found(ObstacleKind::Pause, what);
        }
        MovePlan {
            tenant_id: ends.id().clone(),
            from: ends.from().into(),
            to: ends.to().into(),
            from_isolation: ends.source_kind(),
            to_isolation: ends.target_kind(),
            schema: ends.schema.as_str().into(),
            to_schema: ends.to_schema.as_str().into(),
            to_database: ends.new_database().map(|name| name.as_str().into()),
            method,
            bytes,
            bytes_per_second: rate,
            pause,
            not_replicated: self.not_replicated,
            not_logged: self.not_logged,
            obstacles: self.obstacles,
            remarks: self.remarks,
        }
    }
}
