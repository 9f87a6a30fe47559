//! A tenant sets the key of its session to that of another one, or removes what keeps rows apart.

use sqlx::{Executor, raw_sql};

use super::super::super::{
    finding::{Attacked, Finding, Stop, code_of},
    ground::Ground,
    look::On,
    row_tenants::{RowTenant, RowTenants},
};

/// What a tenant leaves on its session.
#[derive(Debug, Clone, Copy)]
struct Plant {
    sql: &'static str,
    /// Whether a function can do it.
    hides: bool,
}

const fn plant(sql: &'static str) -> Plant {
    Plant { sql, hides: true }
}

const fn bare(sql: &'static str) -> Plant {
    Plant { sql, hides: false }
}

const PLANTS: &[Plant] = &[
    plant("set {setting} to {key}"),
    plant("select set_config({name}, {key}, false)"),
    plant("do $$ begin perform set_config({name}, {key}, false); end $$"),
    plant("reset {setting}"),
    plant("reset all"),
    plant("set row_security to off"),
    plant("declare planted cursor with hold for select {column}::text from people"),
    plant("create temp table people as select {key}::text as {column}, 'planted'::text as email"),
    bare("discard all"),
    bare("begin; set local {setting} to {key}"),
    bare("begin; set {setting} to {key}; insert into people (email) values ('planted')"),
    bare("begin; set {setting} to {key}; commit; begin; select 1/0"),
];

/// How the attacker runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Lease,
    Handle,
    Function,
}

/// Leaves each of these behind in every way, and then looks at the rows of both tenants.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let rows = ground.rows()?;
    rows.furnish().await?;
    let mut planted: u64 = 0;
    for _ in 0..ground.options.plantings() {
        for plant in PLANTS {
            for way in [Way::Lease, Way::Handle, Way::Function] {
                if way == Way::Function && !plant.hides {
                    continue;
                }
                for (attacker, victim) in rows.pairs() {
                    planted += u64::from(leave(rows, *plant, way, attacker, victim).await?);
                    rows.check(ground, &format!("{:?} ({way:?})", plant.sql)).await?;
                }
            }
        }
    }
    let seen = format!(
        "changed {planted} times on a lease, on the handle and in functions: afterwards each tenant had its own key \
         and rows, and sessions of no tenant had none"
    );
    Ok(Finding { seen, rounds: planted })
}

/// Leaves it behind, and verifies on a lease that it has an effect. Returns `false` if PostgreSQL does not allow it for
/// this role.
async fn leave(
    rows: &RowTenants,
    plant: Plant,
    way: Way,
    attacker: &RowTenant,
    victim: &RowTenant,
) -> Result<bool, Stop> {
    let sql = rows.fill(plant.sql, attacker, victim);
    match way {
        Way::Handle => allowed(raw_sql(sql.finish()).execute(&attacker.db).await.map(drop)),
        Way::Function => {
            let call = rows.fill("select {shared}.perform($1)", attacker, victim).finish();
            let call = sqlx::query(call).bind(sql.as_str().to_owned());
            allowed(call.execute(&attacker.db).await.map(drop))
        }
        Way::Lease => {
            let mut lease = attacker.db.acquire().await?;
            let before = rows.seen(attacker, On::Lease(&mut lease)).await?;
            if !allowed(lease.execute(raw_sql(sql.finish())).await.map(drop))? {
                return Ok(false);
            }
            match rows.seen(attacker, On::Lease(&mut lease)).await? == before {
                true => Err(Stop::new(format!("{:?} left nothing on its own session", plant.sql))),
                false => Ok(true),
            }
        }
    }
}

/// Returns `false` if the server refuses it. A failed transaction may be what is left behind.
fn allowed(ran: sqlx::Result<()>) -> Result<bool, Stop> {
    let Err(error) = ran else { return Ok(true) };
    let code = code_of(error)?;
    match code.get(..11) {
        Some("error 22012") => Ok(true),
        Some("error 42501") => Ok(false),
        _ => Err(Stop::new(format!("a statement that changes the session failed: {code}"))),
    }
}
