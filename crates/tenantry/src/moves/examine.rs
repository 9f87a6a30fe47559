//! Finds what prevents a move, before anything is changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::Row;

use super::{
    MoveMethod, MoveOptions, MovePlan, Obstacle, ObstacleKind,
    attempts::MOVERS,
    container,
    ends::Ends,
    estimate::Measured,
    failure::told,
    id::book,
    replicate::why_not,
    sample::{self, Sample},
};
use crate::{
    clone::{CloneOptions, Copying, Ends as Way, Plan},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{Provisioner, objects_outside},
    reading::read_once,
    schema::{BeyondKind, ObjectKind, SchemaModel},
    sql::Sql,
    tenant::{Ident, IsolationKind, Placement, TenantState},
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

/// The bytes of the tables and their indexes, tables whose rows this role may not read or lock, whether it may rename the
/// schema, its name, and tables whose policies apply to it and which it does not own: those of its own it can
/// [read](super::unforced).
fn source_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::pg_catalog.int8, \
           pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
             where not pg_catalog.has_table_privilege(c.oid, 'select') \
               or not pg_catalog.has_table_privilege(c.oid, 'update, delete, truncate')), \
           pg_catalog.bool_and(pg_catalog.pg_has_role(n.nspowner, 'usage')) \
             and pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
           pg_catalog.quote_ident(current_user::pg_catalog.text), \
           pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
             where c.relkind operator(pg_catalog.<>) 'm' and pg_catalog.row_security_active(c.oid) \
               and not (c.relforcerowsecurity and pg_catalog.pg_has_role(c.relowner, 'usage'))) \
         from pg_catalog.pg_namespace n left join pg_catalog.pg_class c \
           on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'm', 'p']::pg_catalog.\"char\"[]) \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql
}

/// Whether the role may create a function in a schema, its name, and the tables of a list that it may not fence: only
/// their owner can drop a trigger. Parameters: the schema, and the tables.
const MAY_FENCE: &str = "\
    select pg_catalog.has_schema_privilege(n.oid, 'create'), pg_catalog.quote_ident(current_user::pg_catalog.text), \
      (select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
        from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) n.oid \
          and c.relname::pg_catalog.text operator(pg_catalog.=) any ($2) \
          and not pg_catalog.pg_has_role(c.relowner, 'usage')) \
    from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1";

/// Whether the role may have a table in a schema, or it is there, and its name. Parameters: the schema, and the table.
const MAY_RECORD: &str = "\
    select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n \
          on n.oid operator(pg_catalog.=) c.relnamespace \
        where n.nspname::pg_catalog.text operator(pg_catalog.=) $1 and c.relname::pg_catalog.text operator(pg_catalog.=) $2) \
      or coalesce((select pg_catalog.has_schema_privilege(n.oid, 'create') from pg_catalog.pg_namespace n \
          where n.nspname::pg_catalog.text operator(pg_catalog.=) $1), \
        pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')), \
      pg_catalog.quote_ident(current_user::pg_catalog.text)";

/// Extensions that the server does not have. Parameter: their names.
const MISSING: &str = "\
    select pg_catalog.string_agg(m.name, ', ' order by m.name) from pg_catalog.unnest($1::pg_catalog.text[]) as m (name) \
    where not exists (select from pg_catalog.pg_available_extensions a \
      where a.name::pg_catalog.text operator(pg_catalog.=) m.name)";

/// What a database has besides a schema: other schemas with objects that belong to no extension, large objects, event
/// triggers and settings. Parameters: the schema, and that of the records of moves.
pub(super) const BESIDE: &str = "\
    select \
      (select pg_catalog.string_agg(n.nspname::pg_catalog.text, ', ' order by n.nspname) from pg_catalog.pg_namespace n \
        where n.nspname operator(pg_catalog.<>) all (array[$1, $2, 'information_schema']::pg_catalog.name[]) \
          and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') \
          and (exists (select from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) n.oid \
            and not exists (select from pg_catalog.pg_depend d where d.objid operator(pg_catalog.=) c.oid \
              and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.deptype operator(pg_catalog.=) any (array['e', 'i', 'a']::pg_catalog.\"char\"[]))) \
          or exists (select from pg_catalog.pg_proc p where p.pronamespace operator(pg_catalog.=) n.oid \
            and not exists (select from pg_catalog.pg_depend d where d.objid operator(pg_catalog.=) p.oid \
              and d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
              and d.deptype operator(pg_catalog.=) 'e')))), \
      (select case when pg_catalog.count(*) operator(pg_catalog.>) 0 then pg_catalog.count(*)::pg_catalog.text end \
        from pg_catalog.pg_largeobject_metadata), \
      (select pg_catalog.string_agg(e.evtname::pg_catalog.text, ', ' order by e.evtname) from pg_catalog.pg_event_trigger e), \
      (select pg_catalog.string_agg(s.name, ', ' order by s.name) from pg_catalog.pg_db_role_setting r \
        join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) r.setdatabase \
          and d.datname operator(pg_catalog.=) pg_catalog.current_database() \
        cross join lateral pg_catalog.unnest(r.setconfig) as s (name))";

/// How much longer it takes to copy rows between tables than to read them.
const WRITING: u32 = 5;

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

    async fn source(&mut self) -> Result<(), Error> {
        if self.ends.are_rows() {
            self.rows().await?;
        }
        if self.ends.source_kind() == IsolationKind::Row {
            return self.shared_tables().await;
        }
        let Ends { source, schema, .. } = self.ends;
        let mut lease = source.lease_for(&source.site_of(schema)).await?;
        let row = sqlx::raw_sql(source_sql(schema).finish()).fetch_one(&mut *lease).await?;
        let Some(may_rename) = row.try_get::<Option<bool>, _>(2)? else {
            let gone = Error::new(ErrorKind::UnknownTenant, "its schema does not exist");
            return Err(gone.with_tenant(self.ends.id()));
        };
        let role: &str = row.try_get(3)?;
        if !self.ends.are_rows() {
            self.bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        }
        if let Some(tables) = row.try_get::<Option<&str>, _>(1)? {
            let what = format!(
                "on the source, the role {role} may not read or lock: {tables}; make it a member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if let Some(tables) = row.try_get::<Option<&str>, _>(4)?
            && !self.ends.are_rows()
        {
            let what = format!(
                "on the source, policies of these tables apply to the role {role}, and could hide rows from it: \
                 {tables}; give the role bypassrls on both servers, or make it a member of their owner"
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
        if self.ends.source_kind() == IsolationKind::Database {
            let beside = sqlx::query(BESIDE).bind(schema.as_str()).bind(book().as_str());
            let row = beside.persistent(false).fetch_one(&mut *lease).await?;
            self.beside(&row)?;
        }
        let outside = objects_outside(&mut lease, schema).await?;
        if !outside.is_empty() {
            let what = format!("{} outside of the schema depends on it", outside.join(", "));
            self.found(ObstacleKind::Outside, what);
        }
        Ok(())
    }

    /// Names what a tenant's database has besides its schema.
    fn beside(&mut self, row: &sqlx::postgres::PgRow) -> Result<(), Error> {
        for (column, what) in ["other schemas with objects", "large objects", "event triggers"]
            .into_iter()
            .enumerate()
        {
            if let Some(found) = row.try_get::<Option<&str>, _>(column)? {
                let what = format!("it would not be copied: its database has {what}: {found}");
                self.found(ObstacleKind::NotCarried, what);
            }
        }
        if let Some(settings) = row.try_get::<Option<&str>, _>(3)? {
            self.remarks.push(format!("the settings of its database are not copied: {settings}"));
        }
        Ok(())
    }

    /// Measures the rows of the tenant, and names those that would be lost.
    async fn rows(&mut self) -> Result<(), Error> {
        let site = self.ends.rows_at_source(&self.ends.schema)?;
        let began = Instant::now();
        let found = match self.ends.rows_of_source(&site).examine().await {
            Err(error) if error.kind() == ErrorKind::Placement => {
                self.found(ObstacleKind::Structure, told(&error));
                return Ok(());
            }
            found => found?,
        };
        self.bytes = found.bytes;
        self.tables = u32::try_from(found.tables.len()).unwrap_or(u32::MAX);
        // They are read, written twice, and their indexes are filled.
        self.structure = began.elapsed() * WRITING;
        for what in found.left_behind {
            self.found(ObstacleKind::NotCarried, what);
        }
        for table in found.in_common {
            let what =
                format!("the rows of table {table} are not copied: all tenants share that table");
            self.remarks.push(what);
        }
        Ok(())
    }

    /// Whether the role may put up the fence in the tables of all tenants.
    async fn shared_tables(&mut self) -> Result<(), Error> {
        let Ends { source, schema, .. } = self.ends;
        let site = self.ends.rows_at_source(schema)?;
        let mut lease = source.lease_for(&site).await?;
        let tables = self.ends.rows_of_source(&site).tables(&mut lease).await?;
        let may = sqlx::query(MAY_FENCE).bind(schema.as_str()).bind(&tables).persistent(false);
        let row = may.fetch_one(&mut *lease).await?;
        let (may_create, role): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        let unfenced: Option<String> = row.try_get(2)?;
        drop(lease);
        if !may_create {
            let what = format!(
                "on the source, the role {role} may not create a function in the schema {schema}"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if let Some(tables) = unfenced {
            let what = format!(
                "on the source, the role {role} may not lock, or create and drop triggers of: {tables}; make it a \
                 member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        Ok(())
    }

    async fn target(&mut self) -> Result<(), Error> {
        if self.ends.target_kind() == IsolationKind::Row {
            return self.target_of_rows().await;
        }
        self.rights().await?;
        if self.ends.new_database().is_some() {
            return self.new_database().await;
        }
        let Ends { target, to_schema, .. } = self.ends;
        if container::is_taken(self.ends).await? {
            let what = format!("server {} already has a schema {to_schema}", self.ends.to());
            self.found(ObstacleKind::Name, what);
        } else if let Err(error) =
            Provisioner::new(target.clone()).refuse_name_in_use(to_schema).await
        {
            match error.kind() {
                ErrorKind::NameInUse => self.found(ObstacleKind::Name, told(&error)),
                _ => return Err(error),
            }
        }
        if !self.ends.are_rows() && self.obstacles.iter().all(|of| of.kind == ObstacleKind::Pause) {
            self.try_out().await?;
        }
        Ok(())
    }

    async fn rights(&mut self) -> Result<(), Error> {
        let Ends { target, .. } = self.ends;
        let role = target.role_of(&self.ends.site_at_target()).await?;
        let there = Provisioner::new(self.ends.target_server());
        let may = [
            there.refuse_missing_right(target.home()).await,
            there.refuse_missing_role(role.as_ref()).await,
        ];
        for refused in may.into_iter().filter_map(Result::err) {
            self.found(ObstacleKind::Privilege, told(&refused));
        }
        Ok(())
    }

    /// The structure is tried out once the database is there.
    async fn new_database(&mut self) -> Result<(), Error> {
        let provisioner = Provisioner::new(self.ends.control.clone());
        if provisioner.has_database(&self.ends.site_at_target()).await? {
            let what = format!(
                "server {} already has a database {}",
                self.ends.to(),
                self.ends.new_database().map_or("", Ident::as_str)
            );
            self.found(ObstacleKind::Name, what);
        }
        if self.ends.are_rows() {
            return Ok(());
        }
        let names = container::extensions(self.ends).await?;
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        let mut lease = self.ends.target_server().lease().await?;
        let missing = sqlx::query_scalar(MISSING).bind(names).persistent(false);
        let missing: Option<String> = missing.fetch_one(&mut *lease).await?;
        drop(lease);
        if let Some(missing) = missing {
            let what =
                format!("on the target's server, these extensions are not installed: {missing}");
            self.found(ObstacleKind::Structure, what);
        }
        let subject = self.ends.subject_at_source().await?;
        let model = read_once(&self.ends.source, &subject).await?;
        self.not_carried(&model);
        self.tables = u32::try_from(model.of_kind(ObjectKind::Table).count()).unwrap_or(u32::MAX);
        self.sample = self.measure(&subject.schema).await?;
        Ok(())
    }

    async fn target_of_rows(&mut self) -> Result<(), Error> {
        let from = self.ends.rows_at_source(&self.ends.schema)?;
        let to = self.ends.rows_at_target()?;
        let rows = self.ends.rows_of_target(&to);
        for what in rows.refusals(self.ends.rows_of_source(&from)).await? {
            self.found(ObstacleKind::Structure, what);
        }
        if let Some(other) = rows.sharer(&self.ends.control).await? {
            let what = format!(
                "its key {:?} in schema {} is also the key of tenant {other} there",
                rows.key(),
                self.ends.to_schema
            );
            self.found(ObstacleKind::Name, what);
        }
        match rows.refuse_key_in_use().await {
            Err(error) if error.kind() == ErrorKind::NameInUse => {
                self.found(ObstacleKind::Name, told(&error));
                Ok(())
            }
            free => free,
        }
    }

    /// Creates the empty schema on the target and rolls that back: nothing else shows that all extensions, roles, types
    /// and privileges are there.
    async fn try_out(&mut self) -> Result<(), Error> {
        let subject = self.ends.subject_at_source().await?;
        let model = read_once(&self.ends.source, &subject).await?;
        let model = self.ends.for_target(model).await?;
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
        let source = &self.ends.source;
        let mut from = source.lease_for(&source.site_of(schema)).await?;
        let mut to = self.ends.target_server().lease().await?;
        let site = self.ends.rows_at_source(schema).ok();
        let rows = site.as_ref().and_then(|site| site.rows.as_deref());
        let sample = sample::take(&mut from, &mut to, schema, rows).await;
        from.settle().await;
        to.settle().await;
        sample
    }

    /// Names what a copy would lack.
    fn not_carried(&mut self, model: &SchemaModel) {
        let is_made = |kind| match kind {
            BeyondKind::NotPopulated => true,
            // They are created in the new database.
            BeyondKind::Extension => self.ends.new_database().is_some(),
            _ => false,
        };
        let beyond = model.beyond.iter().filter(|fact| !is_made(fact.what));
        let facts: Vec<_> = beyond.map(|fact| format!("it would not be copied: {fact}")).collect();
        for fact in facts {
            self.found(ObstacleKind::NotCarried, fact);
        }
    }

    /// Finds out whether logical replication can be used.
    async fn way(&mut self) -> Result<(), Error> {
        let method = self.options.method;
        if let Some(why) = self.why_not_mapped() {
            match method {
                Some(MoveMethod::Replication) => self.found(ObstacleKind::Replication, why),
                Some(MoveMethod::UnderFence) => {}
                None => self.not_replicated.push(why.to_owned()),
            }
            return Ok(());
        }
        match method {
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

    /// Replication maps tables by their qualified names.
    fn why_not_mapped(&self) -> Option<&'static str> {
        let Ends { schema, to_schema, .. } = self.ends;
        match self.ends.are_rows() {
            true => Some("its rows are in the tables of all tenants at one of the places"),
            false => (schema != to_schema).then_some("its schema has another name on the target"),
        }
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
                    MoveMethod::Replication => "the rest".to_owned(),
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
