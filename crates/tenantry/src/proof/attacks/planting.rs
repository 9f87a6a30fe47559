//! One tenant leaves state behind, and the next one on the session looks for it.

use sqlx::{Executor, SqlSafeStr, raw_sql};

use super::{
    super::{
        finding::{Attacked, Finding, Stop, code_of},
        ground::Ground,
        look::Look,
    },
    plants::Plant,
};
use crate::pool::Lease;

/// The ways in which a tenant can run the SQL that leaves state behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// On a connection that was handed out to it.
    Lease,
    /// As a statement of its handle.
    Handle,
    /// In a function that a plain query of its handle calls.
    Function,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Lease => "on a lease",
            Self::Handle => "on the handle",
            Self::Function => "in a function",
        }
    }
}

/// The result of planting.
enum Planted {
    Yes,
    /// PostgreSQL does not allow it for this login role.
    Refused,
}

/// The state of both tenants' sessions if nothing was left behind.
struct Before {
    acme: Look,
    globex: Look,
    globex_on_lease: Look,
}

#[derive(Debug, Default)]
struct Tally {
    planted: u64,
    refused: u64,
    /// How often the next tenant had the same server process.
    same: u64,
}

/// Leaves each of these behind in every way, and lets the other tenant look.
pub(in crate::proof) async fn run(ground: &Ground<'_>, plants: &[Plant]) -> Attacked {
    let mut tally = Tally::default();
    for round in 0..ground.options.plantings() {
        for plant in plants {
            let before = before(ground, plant.observe).await?;
            for way in [Way::Lease, Way::Handle, Way::Function] {
                if way == Way::Function && !plant.hides {
                    continue;
                }
                one(ground, plant, way, round % 2 == 0, &before, &mut tally).await?;
            }
        }
    }
    let Tally { planted, refused, same } = tally;
    if same == 0 && refused < planted && !ground.fleet.server().options().close_altered_sessions {
        return Err(Stop::new("no two tenants had the same server process, one after the other"));
    }
    let refused = match refused {
        0 => String::new(),
        _ => format!("; PostgreSQL itself refused {refused} of them to this login"),
    };
    let seen = format!(
        "left behind {planted} times on a lease, on the handle and in functions, found 0 times; the next tenant had \
         the same server process {same} times{refused}"
    );
    Ok(Finding { seen, rounds: planted })
}

async fn before(ground: &Ground<'_>, observe: &'static str) -> Result<Before, Stop> {
    let acme = ground.look(&ground.acme, observe).await?;
    let globex = ground.look(&ground.globex, observe).await?;
    let mut lease = ground.globex.acquire().await?;
    let globex_on_lease = ground.look_on(&mut lease, observe).await?;
    Ok(Before { acme, globex, globex_on_lease })
}

async fn one(
    ground: &Ground<'_>,
    plant: &Plant,
    way: Way,
    handle_first: bool,
    before: &Before,
    tally: &mut Tally,
) -> Result<(), Stop> {
    tally.planted += 1;
    let (planted, planter) = plant_by(ground, plant, way).await?;
    tally.refused += u64::from(matches!(planted, Planted::Refused));
    let found = |who: &str, now: &Look, then: &Look| {
        let found = now.differences(then).into_iter();
        ground.leak_all(
            found.map(|what| format!("after {:?} {}, {who} found {what}", plant.sql, way.name())),
        );
    };
    if handle_first {
        let now = ground.look(&ground.globex, plant.observe).await?;
        found("the other tenant", &now, &before.globex);
    }
    let mut lease = ground.globex.acquire().await?;
    let now = ground.look_on(&mut lease, plant.observe).await?;
    found("the other tenant on a lease", &now, &before.globex_on_lease);
    let same = planter.is_some() && lease.backend_pid() == planter;
    drop(lease);
    if !handle_first {
        let now = ground.look(&ground.globex, plant.observe).await?;
        found("the other tenant", &now, &before.globex);
    }
    let now = ground.look(&ground.acme, plant.observe).await?;
    found("the tenant itself, later,", &now, &before.acme);
    tally.same += u64::from(same);
    Ok(())
}

/// Leaves it behind. Returns the server process too, if it is known.
async fn plant_by(
    ground: &Ground<'_>,
    plant: &Plant,
    way: Way,
) -> Result<(Planted, Option<i32>), Stop> {
    match way {
        Way::Lease => {
            let mut lease = ground.acme.acquire().await?;
            let planter = lease.backend_pid();
            Ok((on_lease(ground, plant, &mut lease).await?, planter))
        }
        Way::Handle => {
            Ok((planted(raw_sql(plant.sql).execute(&ground.acme).await.map(drop))?, None))
        }
        Way::Function => {
            let call = sqlx::query("select perform($1)").bind(plant.sql);
            Ok((planted(call.execute(&ground.acme).await.map(drop))?, None))
        }
    }
}

/// Leaves it behind on a lease, and verifies that it is there.
async fn on_lease(ground: &Ground<'_>, plant: &Plant, lease: &mut Lease) -> Result<Planted, Stop> {
    let clean = ground.look_on(lease, plant.observe).await?;
    let ran = lease.execute(raw_sql(plant.sql.into_sql_str())).await.map(drop);
    if let Planted::Refused = planted(ran)? {
        return Ok(Planted::Refused);
    }
    match ground.look_on(lease, plant.observe).await? == clean {
        true => Err(Stop::new(format!("{:?} left nothing behind on its own session", plant.sql))),
        false => Ok(Planted::Yes),
    }
}

/// The error itself may be what is left behind.
fn planted(ran: sqlx::Result<()>) -> Result<Planted, Stop> {
    let Err(error) = ran else { return Ok(Planted::Yes) };
    let refused =
        error.as_database_error().and_then(|error| error.code()).as_deref() == Some("42501");
    code_of(error)?;
    Ok(if refused { Planted::Refused } else { Planted::Yes })
}

/// A seed makes chance predictable, for the next tenant too.
pub(in crate::proof) async fn seed(ground: &Ground<'_>) -> Attacked {
    const SEED: &str = "select setseed(0.5)";
    const DRAW: &str = "select random()";
    let rounds = u64::from(ground.options.plantings()) * 4;
    for round in 0..rounds {
        let mut lease = ground.acme.acquire().await?;
        lease.execute(raw_sql(SEED)).await?;
        let predicted: f64 = sqlx::query_scalar(DRAW).fetch_one(&mut *lease).await?;
        lease.execute(raw_sql(SEED)).await?;
        let again: f64 = sqlx::query_scalar(DRAW).fetch_one(&mut *lease).await?;
        if predicted.to_bits() != again.to_bits() {
            return Err(Stop::new("random() does not depend on the seed"));
        }
        let hidden = round % 2 == 1;
        if !hidden {
            lease.execute(raw_sql(SEED)).await?;
        }
        drop(lease);
        if hidden {
            let call =
                sqlx::query("select perform($1)").bind("do 'begin perform setseed(0.5); end'");
            call.execute(&ground.acme).await?;
        }
        let drawn: f64 = sqlx::query_scalar(DRAW).fetch_one(&ground.globex).await?;
        if drawn.to_bits() == predicted.to_bits() {
            ground.leak(format!("the other tenant drew {drawn}, as predicted"));
        }
    }
    Ok(Finding { seen: format!("seeded {rounds} times, predicted 0 times"), rounds })
}
