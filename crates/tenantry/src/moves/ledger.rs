//! The table of moves, on the control server.
//!
//! Every change names the stage, the owner and the attempt that it expects. If the row is different, another process
//! works on the move, and this one stops.

use std::time::{Duration, SystemTime};

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    MoveMethod, MoveRecord, MoveStage, failure::Failure, id::MoveId, own_table::OwnTable,
    places::Places, record::Inner,
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    fleet::Fleet,
    sql::Sql,
    tenant::{Ident, TenantId},
};

const TABLE: OwnTable = OwnTable {
    name: "tenantry_moves",
    columns: "id pg_catalog.text primary key, tenant pg_catalog.text not null, \
              from_server pg_catalog.text not null, to_server pg_catalog.text not null, \
              schema pg_catalog.text not null, epoch pg_catalog.int8 not null, \
              method pg_catalog.text not null, stage pg_catalog.text not null, \
              owner pg_catalog.text not null, attempt pg_catalog.int8 not null default 1, \
              beat pg_catalog.timestamptz not null default pg_catalog.clock_timestamp(), \
              take_over_after pg_catalog.float8 not null, tries pg_catalog.int8 not null default 0, \
              fence_tries pg_catalog.int8 not null, verify pg_catalog.bool not null, \
              keep pg_catalog.float8 not null, bytes pg_catalog.int8 not null, \
              cancelled pg_catalog.bool not null default false, trouble pg_catalog.text, \
              began_at pg_catalog.timestamptz not null default pg_catalog.clock_timestamp(), \
              ended_at pg_catalog.timestamptz, keep_until pg_catalog.timestamptz, \
              swept_at pg_catalog.timestamptz, places pg_catalog.text",
    // A tenant is on one move at a time.
    index: Some(("tenantry_moves_open", "(tenant) where ended_at is null")),
    lock: 7_234_619_037_119,
};

/// Who works on a move, and for the how many-th time it was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mine {
    pub(super) id: MoveId,
    pub(super) owner: String,
    pub(super) attempt: i64,
}

/// A move to begin.
pub(super) struct NewMove<'a> {
    pub(super) mine: &'a Mine,
    pub(super) tenant: &'a TenantId,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) schema: &'a Ident,
    pub(super) places: &'a Places,
    pub(super) epoch: u64,
    pub(super) method: MoveMethod,
    pub(super) fence_tries: u32,
    pub(super) verify: bool,
    pub(super) keep: Duration,
    pub(super) take_over_after: Duration,
    pub(super) bytes: u64,
}

/// Which moves to list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    One(MoveId),
    /// Unfinished ones of a tenant.
    OpenOf(&'a TenantId),
    /// Unfinished ones whose mover was silent for too long.
    Abandoned,
    /// Those whose schema on the source may be dropped.
    Expired,
}

/// The table, in the shared schema.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    shared: Ident,
}

impl Ledger {
    pub(super) fn new(fleet: &Fleet) -> Self {
        Self { shared: fleet.shared_site().schema }
    }

    pub(super) async fn exists(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        TABLE.exists(conn, &self.shared).await
    }

    pub(super) async fn ensure(&self, conn: &mut PgConnection) -> Result<(), Error> {
        TABLE.ensure(conn, &self.shared).await?;
        // Tables of the first release lack it.
        let mut sql = Sql::new("alter table ");
        TABLE.name(&mut sql, &self.shared);
        sql.text(" add column if not exists places pg_catalog.text");
        match self.has_places(conn).await? {
            true => Ok(()),
            false => Ok(sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)?),
        }
    }

    async fn has_places(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        let column = sqlx::query_scalar(
            "select exists (select from pg_catalog.pg_attribute a \
               join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) a.attrelid \
               join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) $2 \
               and a.attname operator(pg_catalog.=) 'places')",
        );
        let column = column.bind(self.shared.as_str()).bind(TABLE.name).persistent(false);
        Ok(column.fetch_one(conn).await?)
    }

    /// Records a move, in the transaction that changes the catalog.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if the tenant is on an unfinished move.
    pub(super) async fn begin(
        &self,
        conn: &mut PgConnection,
        new: NewMove<'_>,
    ) -> Result<(), Error> {
        let mut sql = Sql::new("insert into ");
        TABLE.name(&mut sql, &self.shared);
        sql.text(
            " (id, tenant, from_server, to_server, schema, epoch, method, stage, owner, attempt, \
             take_over_after, fence_tries, verify, keep, bytes, places) values (",
        );
        sql.literal(&new.mine.id.digits());
        for text in [new.tenant.as_str(), new.from, new.to, new.schema.as_str()] {
            sql.text(", ").literal(text);
        }
        sql.text(", ").number(new.epoch).text(", ").literal(new.method.as_str());
        sql.text(", ").literal(MoveStage::Planned.as_str()).text(", ").literal(&new.mine.owner);
        sql.text(", ").integer(new.mine.attempt).text(", ").number(millis(new.take_over_after));
        sql.text("e-3, ").number(new.fence_tries.into());
        sql.text(if new.verify { ", true, " } else { ", false, " });
        sql.number(millis(new.keep)).text("e-3, ").number(new.bytes);
        sql.text(", ").literal(&new.places.written()).text(")");
        let begun = sqlx::raw_sql(sql.finish()).execute(conn).await;
        begun.map(drop).map_err(|error| {
            match error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
                true => {
                    let attempted =
                        "another move of it is unfinished: wait for its end, or take it over";
                    let busy = Error::new(ErrorKind::Busy, attempted).with_source(error);
                    busy.with_tenant(new.tenant).with_retry_after(RETRY_AFTER)
                }
                false => error.into(),
            }
        })
    }

    /// Records the next stage.
    pub(super) async fn advance(
        &self,
        conn: &mut PgConnection,
        mine: &Mine,
        (from, to): (MoveStage, MoveStage),
        tries: u32,
        trouble: Option<&str>,
    ) -> Result<(), Failure> {
        let mut sql = self.update();
        sql.text(" set stage = ").literal(to.as_str()).text(", tries = ").number(tries.into());
        sql.text(", beat = pg_catalog.clock_timestamp()");
        if let Some(trouble) = trouble {
            sql.text(", trouble = ").literal(trouble);
        }
        if to.is_over() {
            sql.text(", ended_at = pg_catalog.clock_timestamp()");
        }
        if to == MoveStage::Done {
            sql.text(
                ", keep_until = pg_catalog.clock_timestamp() operator(pg_catalog.+) \
                 pg_catalog.make_interval(0, 0, 0, 0, 0, 0, keep)",
            );
        }
        sql.text(" where stage operator(pg_catalog.=) ").literal(from.as_str());
        is_mine(&mut sql, mine);
        match sqlx::raw_sql(sql.finish()).execute(conn).await?.rows_affected() {
            0 => Err(Failure::Lost),
            _ => Ok(()),
        }
    }

    /// Tells that the mover is alive. Returns whether the move was cancelled.
    pub(super) async fn beat(&self, conn: &mut PgConnection, mine: &Mine) -> Result<bool, Failure> {
        let mut sql = self.update();
        sql.text(" set beat = pg_catalog.clock_timestamp() where ended_at is null");
        is_mine(&mut sql, mine);
        sql.text(" returning cancelled");
        match sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? {
            None => Err(Failure::Lost),
            Some(row) => Ok(row.try_get(0)?),
        }
    }

    /// Records what keeps a move from going on.
    pub(super) async fn note(
        &self,
        conn: &mut PgConnection,
        mine: &Mine,
        trouble: &str,
    ) -> Result<(), Error> {
        let mut sql = self.update();
        sql.text(" set trouble = ").literal(trouble).text(" where ended_at is null");
        is_mine(&mut sql, mine);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Asks the mover to undo a move. Returns `false` if there is none that can be undone.
    pub(super) async fn cancel(
        &self,
        conn: &mut PgConnection,
        tenant: &TenantId,
    ) -> Result<bool, Error> {
        let mut sql = self.update();
        sql.text(" set cancelled = true where ended_at is null and tenant operator(pg_catalog.=) ");
        sql.literal(tenant.as_str()).text(" and stage operator(pg_catalog.=) any (array[");
        let undoable = MoveStage::ALL.into_iter().filter(|stage| stage.may_be_undone());
        for (index, stage) in undoable.enumerate() {
            sql.text(if index == 0 { "" } else { ", " }).literal(stage.as_str());
        }
        sql.text("])");
        Ok(sqlx::raw_sql(sql.finish()).execute(conn).await?.rows_affected() > 0)
    }

    /// Takes an abandoned move over. `None` if its mover was heard of, or another process was faster.
    pub(super) async fn take_over(
        &self,
        conn: &mut PgConnection,
        found: &MoveRecord,
        owner: String,
    ) -> Result<Option<Mine>, Error> {
        let before = Mine {
            id: found.of.id,
            owner: found.owner.to_string(),
            attempt: i64::try_from(found.attempt).unwrap_or(i64::MAX),
        };
        let mut sql = self.update();
        sql.text(" set beat = pg_catalog.clock_timestamp(), attempt = attempt operator(pg_catalog.+) 1, owner = ");
        sql.literal(&owner).text(" where ended_at is null and ").text(IS_ABANDONED);
        is_mine(&mut sql, &before);
        sql.text(" returning attempt");
        let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
        let attempt = row.map(|row| row.try_get(0)).transpose()?;
        Ok(attempt.map(|attempt| Mine { attempt, owner, ..before }))
    }

    /// Records that the schema on the source was dropped.
    pub(super) async fn swept(&self, conn: &mut PgConnection, id: MoveId) -> Result<(), Error> {
        let mut sql = self.update();
        sql.text(" set swept_at = pg_catalog.clock_timestamp() where id operator(pg_catalog.=) ");
        sql.literal(&id.digits());
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Lists moves, the latest first.
    pub(super) async fn list(
        &self,
        conn: &mut PgConnection,
        which: Which<'_>,
    ) -> Result<Vec<MoveRecord>, Error> {
        let mut sql = Sql::new("select ");
        sql.text(match self.has_places(conn).await? {
            true => "places, ",
            false => "null::pg_catalog.text as places, ",
        });
        sql.text(COLUMNS).text(IS_ABANDONED).text(" as abandoned from ");
        TABLE.name(&mut sql, &self.shared);
        sql.text(" where ");
        match which {
            Which::All => sql.text("true"),
            Which::One(id) => sql.text("id operator(pg_catalog.=) ").literal(&id.digits()),
            Which::OpenOf(tenant) => sql
                .text("ended_at is null and tenant operator(pg_catalog.=) ")
                .literal(tenant.as_str()),
            Which::Abandoned => sql.text("ended_at is null and ").text(IS_ABANDONED),
            Which::Expired => sql.text(
                "swept_at is null and keep_until operator(pg_catalog.<) pg_catalog.clock_timestamp()",
            ),
        };
        sql.text(" order by began_at desc, id");
        let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
        rows.iter().map(read).collect()
    }

    fn update(&self) -> Sql {
        let mut sql = Sql::new("update ");
        TABLE.name(&mut sql, &self.shared);
        sql
    }
}

/// The columns, with a comma at the end.
const COLUMNS: &str = "id, tenant, from_server, to_server, schema, epoch, method, stage, owner, attempt, tries, \
     fence_tries, verify, take_over_after, bytes, cancelled, trouble, \
     extract(epoch from began_at)::pg_catalog.float8 as began_at, \
     extract(epoch from ended_at)::pg_catalog.float8 as ended_at, \
     extract(epoch from keep_until)::pg_catalog.float8 as keep_until, \
     extract(epoch from swept_at)::pg_catalog.float8 as swept_at, ";

/// The condition that an unfinished move was abandoned.
const IS_ABANDONED: &str = "(ended_at is null and beat operator(pg_catalog.<) (pg_catalog.clock_timestamp() \
     operator(pg_catalog.-) pg_catalog.make_interval(0, 0, 0, 0, 0, 0, take_over_after)))";

/// Appends the condition of the row that this process works on.
fn is_mine(sql: &mut Sql, mine: &Mine) {
    sql.text(" and id operator(pg_catalog.=) ").literal(&mine.id.digits());
    sql.text(" and owner operator(pg_catalog.=) ").literal(&mine.owner);
    sql.text(" and attempt operator(pg_catalog.=) ").integer(mine.attempt);
}

fn read(row: &PgRow) -> Result<MoveRecord, Error> {
    let text = |column: &str| row.try_get::<&str, _>(column).map_err(Error::from);
    let number = |column: &str| {
        row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or_default())
    };
    let small = |column: &str| number(column).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let id = MoveId::parse(text("id")?).ok_or_else(|| wrong("id"))?;
    let schema = Ident::parse(text("schema")?).map_err(|_| wrong("schema"))?;
    let places = match row.try_get::<Option<&str>, _>("places")? {
        Some(written) => Places::read(written).ok_or_else(|| wrong("places"))?,
        None => Places::of_schema(&schema),
    };
    Ok(MoveRecord {
        tenant_id: TenantId::parse(text("tenant")?).map_err(|_| wrong("tenant"))?,
        from: text("from_server")?.into(),
        to: text("to_server")?.into(),
        schema: schema.as_str().into(),
        from_isolation: places.from.kind,
        to_isolation: places.to.kind,
        kept_as: places.kept_as(id).into(),
        method: MoveMethod::named(text("method")?).ok_or_else(|| wrong("method"))?,
        stage: MoveStage::named(text("stage")?).ok_or_else(|| wrong("stage"))?,
        owner: text("owner")?.into(),
        attempt: number("attempt")?,
        is_cancelled: row.try_get("cancelled")?,
        is_abandoned: row.try_get("abandoned")?,
        bytes: number("bytes")?,
        trouble: row.try_get::<Option<&str>, _>("trouble")?.map(Into::into),
        began_at: time(row, "began_at")?,
        ended_at: time(row, "ended_at")?,
        keep_until: time(row, "keep_until")?,
        swept_at: time(row, "swept_at")?,
        of: Inner {
            id,
            places,
            epoch: number("epoch")?,
            tries: small("tries")?,
            fence_tries: small("fence_tries")?,
            verify: row.try_get("verify")?,
            take_over_after: seconds(row.try_get("take_over_after")?),
        },
    })
}

fn time(row: &PgRow, column: &str) -> Result<Option<SystemTime>, Error> {
    let at: Option<f64> = row.try_get(column)?;
    Ok(at.map(|at| SystemTime::UNIX_EPOCH + seconds(at)))
}

fn seconds(of: f64) -> Duration {
    Duration::try_from_secs_f64(of).unwrap_or_default()
}

/// The most that fits a column with room to spare: some thousand years.
const LONGEST: u64 = 1 << 47;

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

fn wrong(what: &str) -> Error {
    let attempted = format!(
        "reading the table of moves: the {what} of one has no meaning in this release; use the one that wrote it"
    );
    Error::new(ErrorKind::Config, attempted)
}
