//! Groups findings in tenants: the same problem in many of them becomes one finding.

use sqlx::{FromRow, PgConnection};

use super::tenants::{Looked, Tenants};
use crate::{
    doctor::Affected,
    sql::{Shown, Sql},
    tenant::Ident,
};

/// The maximum number of kinds of findings that a statement returns, the most frequent first.
pub(super) const KINDS: usize = 20;

/// The maximum number of tenants named per kind, the worst first.
pub(super) const WORST: usize = 20;

/// The same problem in one tenant or many, such as an invalid index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    /// What identifies it: names of objects, without the schema, and words of the statement.
    pub(super) what: Vec<String>,
    /// The number of affected tenants.
    pub(super) affected: usize,
    /// Some of them, the worst first.
    pub(super) worst: Vec<Worst>,
}

/// The problem in one tenant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Worst {
    /// The index of the tenant among the examined ones.
    pub(super) place: usize,
    /// How many times the tenant has it.
    pub(super) times: usize,
    /// Additional details.
    pub(super) detail: Vec<String>,
}

/// All kinds that a statement found, or the most frequent ones.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    pub(super) kinds: Vec<Kind>,
    /// How many more there are.
    pub(super) left_out: usize,
}

impl Kind {
    /// Returns a part of what identifies it.
    pub(super) fn part(&self, at: usize) -> &str {
        self.what.get(at).map_or("", String::as_str)
    }

    /// Returns the affected tenants. `detail` describes the problem of a tenant.
    pub(super) fn affected(
        &self,
        tenants: &Tenants,
        detail: impl Fn(&Worst) -> String,
    ) -> Affected {
        let affected = Affected::new(self.affected, tenants.len());
        self.worst.iter().fold(affected, |affected, worst| match tenants.at(worst.place) {
            Some(tenant) => affected.worst(tenant.id.as_str(), detail(worst)),
            None => affected,
        })
    }

    /// Returns a statement for each of the tenants that are named.
    pub(super) fn sql(
        &self,
        tenants: &Tenants,
        write: impl Fn(&mut Shown, &Ident, &Worst),
    ) -> Vec<String> {
        let named = self.worst.iter().filter_map(|worst| Some((tenants.at(worst.place)?, worst)));
        let statement = |(tenant, worst): (&Looked, &Worst)| {
            let mut sql = Shown::default();
            write(&mut sql, &tenant.schema, worst);
            sql.finish()
        };
        named.map(statement).collect()
    }
}

impl Worst {
    /// Returns a part of the details.
    pub(super) fn part(&self, at: usize) -> &str {
        self.detail.get(at).map_or("", String::as_str)
    }
}

/// Runs a statement that finds problems in tenants, and groups equal ones.
///
/// `find` is a query named `f`, with any preceding queries, that returns the index of the tenant, what identifies the
/// problem as an array of texts, the details as another, and the severity as a number: `place, what, detail, weight`.
/// It selects from the tenants `n`.
pub(super) async fn find(
    conn: &mut PgConnection,
    tenants: &Tenants,
    find: &'static str,
) -> sqlx::Result<Kinds> {
    let mut sql = Sql::default();
    tenants.begin(&mut sql);
    sql.text(", ")
        .text(find)
        .text(COLLECT)
        .number(KINDS as u64)
        .text(" and k.nth operator(pg_catalog.<=) ");
    sql.number(WORST as u64).text(" order by k.kind, k.nth");
    let rows = tenants.bind(sqlx::query(sql.finish())).persistent(false).fetch_all(conn).await?;
    let rows = rows.iter().map(FromRow::from_row).collect::<sqlx::Result<_>>()?;
    Ok(Kinds::of(rows))
}

/// A row of [`COLLECT`]: the kind, how many tenants it affects, one of the tenants, how often it occurs there with
/// the details of the worst occurrence, and the number of kinds.
type KindRow = (Vec<String>, i64, i32, i64, Vec<String>, i64);

impl Kinds {
    /// Groups rows, in which equal kinds follow each other.
    fn of(rows: Vec<KindRow>) -> Self {
        let mut found = Self::default();
        for (what, affected, place, times, detail, kinds) in rows {
            let worst = Worst {
                place: usize::try_from(place - 1).unwrap_or(usize::MAX),
                times: usize::try_from(times).unwrap_or_default(),
                detail,
            };
            match found.kinds.last_mut().filter(|kind| kind.what == what) {
                Some(kind) => kind.worst.push(worst),
                None => {
                    let affected = usize::try_from(affected).unwrap_or_default();
                    found.kinds.push(Kind { what, affected, worst: vec![worst] });
                }
            }
            let kinds = usize::try_from(kinds).unwrap_or_default();
            found.left_out = kinds.saturating_sub(found.kinds.len());
        }
        found
    }
}

/// Groups by what identifies the problem; kinds are numbered by the number of affected tenants, and tenants by
/// severity.
const COLLECT: &str = "\
    , g as (select f.*, pg_catalog.count(*) over (partition by f.what, f.place) as times, \
    pg_catalog.row_number() over (partition by f.what, f.place order by f.weight desc, f.detail) as within from f), \
    r as (select g.*, pg_catalog.count(*) over (partition by g.what) as affected, \
    pg_catalog.row_number() over (partition by g.what order by g.weight desc, g.place) as nth from g where g.within operator(pg_catalog.=) 1), \
    d as (select r.*, pg_catalog.dense_rank() over (order by r.affected desc, r.what) as kind from r), \
    k as (select d.*, pg_catalog.max(d.kind) over () as kinds from d) \
    select k.what, k.affected, k.place, k.times, k.detail, k.kinds from k where k.kind operator(pg_catalog.<=)";
