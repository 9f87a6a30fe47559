//! Tenants whose schema is missing or replaced by another one.

use sqlx::{Executor, raw_sql};

use super::super::{
    create,
    finding::{Attacked, Finding, Stop, code_of},
    ground::Ground,
    leftovers,
    look::text_of,
};
use crate::{db::TenantDb, error::ErrorKind, tenant::TenantId};

/// Looks up tenants that do not exist.
pub(in crate::proof) async fn missing(ground: &Ground<'_>) -> Attacked {
    let ids = ["nobody", "shared", "marker", "0", "tenant"];
    for id in ids {
        match ground.fleet.tenant(&TenantId::parse(id).map_err(crate::error::Error::from)?).await {
            Ok(db) => {
                let look = ground.look(&db, "").await?;
                ground.leak(format!(
                    "{id}, which does not exist, got a handle and read {:?}",
                    look.owner()
                ));
            }
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error)
                if matches!(error.kind(), ErrorKind::UnknownTenant | ErrorKind::Placement) => {}
            Err(error) => ground.leak(format!("{id} was refused as {:?}", error.kind())),
        }
    }
    let seen = format!("{} ids without a schema, each refused", ids.len());
    Ok(Finding { seen, rounds: 5 })
}

/// Uses the handle of a tenant whose schema was dropped, while the shared schema has a table of the same name.
pub(in crate::proof) async fn dropped(ground: &Ground<'_>) -> Attacked {
    let db = tenant_before(ground, "gone").await?;
    let mut lease = ground.fleet.lease().await?;
    leftovers::remove(&mut lease, &ground.mark.name("gone")?).await?;
    drop(lease);
    let answers = uses(ground, &db).await?;
    let mut lease = ground.fleet.lease().await?;
    make(ground, &mut lease, "gone", "gone").await?;
    let seen = format!("a statement, a lease and a transaction of its handle: {answers}");
    Ok(Finding { seen, rounds: 4 })
}

/// Uses the handle of a tenant whose schema was replaced by another one of the same name.
pub(in crate::proof) async fn replaced(ground: &Ground<'_>) -> Attacked {
    let db = tenant_before(ground, "replaced").await?;
    let mut lease = ground.fleet.lease().await?;
    leftovers::remove(&mut lease, &ground.mark.name("replaced")?).await?;
    make(ground, &mut lease, "replaced", "newcomer").await?;
    drop(lease);
    let answers = uses(ground, &db).await?;
    let seen = format!("a statement, a lease and a transaction of the old handle: {answers}");
    Ok(Finding { seen, rounds: 4 })
}

async fn make(
    ground: &Ground<'_>,
    lease: &mut crate::pool::Lease,
    id: &str,
    owner: &str,
) -> Result<(), Stop> {
    let manager = ground.fleet.server().role_of_manager().cloned();
    Ok(create::create(lease, ground.mark, id, owner, manager.as_ref()).await?)
}

/// Returns a handle that has been used.
async fn tenant_before(ground: &Ground<'_>, id: &str) -> Result<TenantDb, Stop> {
    let db = ground.tenant(id)?;
    let owner = ground.look(&db, "").await?.owner().to_owned();
    match owner == id {
        true => Ok(db),
        false => Err(Stop::new(format!("tenant {id} read {owner:?} before"))),
    }
}

/// Uses a handle that must not reach anything, in every way. Returns the distinct answers.
async fn uses(ground: &Ground<'_>, db: &TenantDb) -> Result<String, Stop> {
    let mut answers: Vec<String> = Vec::new();
    let mut note = |way: &str, answer: &str| {
        // An answer with a row starts with one of these; no error does.
        if ["shared", "newcomer", "acme", "globex"].iter().any(|of| answer.starts_with(of)) {
            ground.leak(format!("it read the row of {answer} {way}"));
        }
        if !answers.iter().any(|known| known == answer) {
            answers.push(answer.to_owned());
        }
    };
    note("on the handle", ground.look(db, "").await?.owner());
    match db.acquire().await {
        Ok(mut lease) => note("on a lease", ground.look_on(&mut lease, "").await?.owner()),
        Err(error) => note("on a lease", &code_of(error)?),
    }
    match db.begin().await {
        Ok(mut tx) => {
            let row = tx.fetch_all(raw_sql(super::turns::OWNER)).await;
            note("in a transaction", &text_of(row)?);
        }
        Err(error) => note("in a transaction", &code_of(error)?),
    }
    note("on the handle again", ground.look(db, "").await?.owner());
    Ok(answers.join("; "))
}
