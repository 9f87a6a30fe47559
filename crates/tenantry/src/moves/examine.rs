//! Finds what prevents a move, before anything is changed.

use std::time::{Duration, Instant};

use sqlx::Row;

use super::{
    MoveMethod, MoveOptions, MovePlan, Obstacle, ObstacleKind,
    ends::Ends,
    estimate::Measured,
    failure::told,
    replicate::why_not,
    sample::{self, Sample},
};
use crate::{
    clone::{CloneOptions, Copying, Ends as Way, Plan},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{Provisioner, objects_outside, oid_of_schema},
    reading::read_once,
    schema::{BeyondKind, ObjectKind, SchemaModel},
    sql::Sql,
    tenant::{Ident, IsolationKind, TenantState},
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

/// Tables whose rows this role may not read or lock, whether it may rename the schema, and the bytes of the tables
/// and their indexes.
fn source_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::pg_catalog.int8, \
           pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
             where not pg_catalog.has_table_privilege(c.oid, 'select') \
               or not pg_catalog.has_table_privilege(c.oid, 'update, delete, truncate')), \
           pg_catalog.bool_and(pg_catalog.pg_has_role(n.nspowner, 'usage')) \
             and pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
           pg_catalog.quote_ident(current_user::pg_catalog.text) \
         from pg_catalog.pg_namespace n left join pg_catalog.pg_class c \
           on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'm', 'p']::pg_catalog.\"char\"[]) \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql
}

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
}

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
        };
        this.tenant();
        if this.ends.kind() == IsolationKind::Schema && this.ends.record.database.is_none() {
            this.catalog().await?;
            this.servers().await?;
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
        let kind = self.ends.kind();
        if kind != IsolationKind::Schema {
            let what =
                format!("it is isolated by {kind}, and only tenants with a schema are moved");
            self.found(ObstacleKind::Isolation, what);
        }
    }

    /// A move takes a connection on each server, and one more for the catalog. Comparing the rows while the tenant is
    /// served takes another one on the source.
    fn budget(&mut self) {
        let Ends { source, target, .. } = self.ends;
        let is_compared = self.method == MoveMethod::Replication && self.options.verify;
        for (fleet, more) in [(source, is_compared), (target, false)] {
            let needed = 1 + usize::from(fleet.home().is_managers()) + usize::from(more);
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
        let Ends { control, record, schema, .. } = self.ends;
        let mut lease = control.lease_for(&control.shared_site()).await?;
        if !control.keeps_steps(&mut lease).await? {
            let what = "the catalog cannot record moves, as TableCatalog does";
            self.found(ObstacleKind::Catalog, what);
            return Ok(());
        }
        drop(lease);
        let after = self.ends.moved(record.epoch);
        let placed = control.lookup().place_completed(&after);
        let is_there = placed
            .as_ref()
            .is_ok_and(|placed| placed.server() == self.ends.to() && placed.container() == schema);
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
        let target = Facts::read(&self.ends.target).await?;
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

    async fn source(&mut self) -> Result<(), Error> {
        let Ends { source, schema, .. } = self.ends;
        let mut lease = source.lease_for(&source.site_of(schema)).await?;
        let row = sqlx::raw_sql(source_sql(schema).finish()).fetch_one(&mut *lease).await?;
        let Some(may_rename) = row.try_get::<Option<bool>, _>(2)? else {
            let gone = Error::new(ErrorKind::UnknownTenant, "its schema does not exist");
            return Err(gone.with_tenant(self.ends.id()));
        };
        let role: &str = row.try_get(3)?;
        self.bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        if let Some(tables) = row.try_get::<Option<&str>, _>(1)? {
            let what = format!(
                "on the source, the role {role} may not read or lock: {tables}; make it a member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if !may_rename {
            let what = format!(
                "on the source, the role {role} may not rename the schema {schema}: it must be a member of its owner, \
                 and may need the privilege create on the database"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        let outside = objects_outside(&mut lease, schema).await?;
        if !outside.is_empty() {
            let what = format!("{} outside of the schema depends on it", outside.join(", "));
            self.found(ObstacleKind::Outside, what);
        }
        Ok(())
    }

    async fn target(&mut self) -> Result<(), Error> {
        let Ends { target, schema, .. } = self.ends;
        let provisioner = Provisioner::new(target.clone());
        let may = [
            provisioner.refuse_missing_right(target.home()).await,
            provisioner
                .refuse_missing_role(target.role_of(&self.ends.site_at_target()).await?.as_ref())
                .await,
        ];
        for refused in may.into_iter().filter_map(Result::err) {
            self.found(ObstacleKind::Privilege, told(&refused));
        }
        let mut lease = target.lease().await?;
        let is_taken = oid_of_schema(&mut lease, schema).await?.is_some();
        drop(lease);
        if is_taken {
            let what = format!("server {} already has a schema {schema}", self.ends.to());
            self.found(ObstacleKind::Name, what);
        } else if let Err(error) = provisioner.refuse_name_in_use(schema).await {
            match error.kind() {
                ErrorKind::NameInUse => self.found(ObstacleKind::Name, told(&error)),
                _ => return Err(error),
            }
        }
        if self.obstacles.iter().all(|of| of.kind == ObstacleKind::Pause) {
            self.try_out().await?;
        }
        Ok(())
    }

    /// Creates the empty schema on the target and rolls that back: nothing else shows that all extensions, roles, types
    /// and privileges are there.
    async fn try_out(&mut self) -> Result<(), Error> {
        let subject = self.ends.subject_at_source().await?;
        let model = read_once(&self.ends.source, &subject).await?;
        self.not_carried(&model);
        let to = self.ends.subject_at_target().await?;
        let options = CloneOptions::default().data(true);
        let plan = Plan::new(&model, &options, &to.schema, to.role.as_ref())
            .map_err(|wrong| Error::new(ErrorKind::Move, "planning the copy").with_source(wrong))?;
        let way = Way { from: &subject, model: &model, to: &to };
        let target = &self.ends.target;
        let lease = target.lease_for(&target.site_of(&to.schema)).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        let began = Instant::now();
        let tried = Copying::new(way, &plan, &options, None).unchanging(None, &mut tx).await;
        drop(tx.rollback().await);
        self.structure = began.elapsed();
        match tried {
            Ok(copied) => self.remarks.extend(copied.remarks),
            Err(error) if is_of_server(&error) => return Err(error),
            Err(error) => {
                let what =
                    format!("the structure cannot be created on the target: {}", told(&error));
                self.found(ObstacleKind::Structure, what);
                return Ok(());
            }
        }
        self.tables = u32::try_from(model.of_kind(ObjectKind::Table).count()).unwrap_or(u32::MAX);
        self.sample = self.measure(&subject.schema).await?;
        Ok(())
    }

    async fn measure(&self, schema: &Ident) -> Result<Sample, Error> {
        let Ends { source, target, .. } = self.ends;
        let mut from = source.lease_for(&source.site_of(schema)).await?;
        let mut to = target.lease().await?;
        let sample = sample::take(&mut from, &mut to, schema).await;
        to.settle().await;
        sample
    }

    /// Names what a copy would lack.
    fn not_carried(&mut self, model: &SchemaModel) {
        let beyond = model.beyond.iter().filter(|fact| fact.what != BeyondKind::NotPopulated);
        let facts: Vec<_> = beyond.map(|fact| format!("it would not be copied: {fact}")).collect();
        for fact in facts {
            self.found(ObstacleKind::NotCarried, fact);
        }
    }

    /// Finds out whether logical replication can be used.
    async fn way(&mut self) -> Result<(), Error> {
        match self.options.method {
            Some(MoveMethod::UnderFence) => {}
            Some(MoveMethod::Replication) => {
                self.method = MoveMethod::Replication;
                for reason in why_not(self.ends).await? {
                    self.found(ObstacleKind::Replication, reason);
                }
            }
            None => {
                self.not_replicated = why_not(self.ends).await?;
                if self.not_replicated.is_empty() {
                    self.method = MoveMethod::Replication;
                }
            }
        }
        Ok(())
    }

    fn plan(mut self) -> MovePlan {
        let Self { ends, options, method, .. } = self;
        let Sample { per_table, rate } = self.sample;
        let (bytes, tables, structure) = (self.bytes, self.tables, self.structure);
        let is_copied = method == MoveMethod::UnderFence;
        let verify = options.verify;
        let measured = Measured { bytes, tables, per_table, rate, structure, is_copied, verify };
        let pause = measured.pause();
        if pause > options.max_pause {
            let limit = options.max_pause;
            let what = format!(
                "requests would wait for about {pause:.1?} while {} is copied, and max_pause is {limit:?}: increase \
                 it, and acquire_timeout",
                if is_copied { format!("{bytes} bytes") } else { "the rest".to_owned() }
            );
            self.found(ObstacleKind::Pause, what);
        }
        MovePlan {
            tenant_id: ends.id().clone(),
            from: ends.from().into(),
            to: ends.to().into(),
            schema: ends.schema.as_str().into(),
            method,
            bytes,
            bytes_per_second: rate,
            pause,
            not_replicated: self.not_replicated,
            obstacles: self.obstacles,
            remarks: self.remarks,
        }
    }
}

/// Returns `true` if an error says nothing about the structure.
fn is_of_server(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Closed | ErrorKind::Overloaded
    )
}
