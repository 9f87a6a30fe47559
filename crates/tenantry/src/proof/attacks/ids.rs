//! Ids that could be confused with another tenant's.

use super::super::{
    finding::{Attacked, Finding, Stop},
    ground::Ground,
    scratch::LONGEST,
};
use crate::{
    error::{Error, ErrorKind},
    tenant::TenantId,
};

/// The result of looking up a tenant by a text.
enum Asked {
    /// It was refused, or the tenant does not exist.
    Refused(ErrorKind),
    /// There is a handle, on which this row is read.
    Row(String),
}

async fn ask(ground: &Ground<'_>, text: &str) -> Result<Asked, Stop> {
    let id = match TenantId::parse(text) {
        Ok(id) => id,
        Err(error) => return Ok(Asked::Refused(Error::from(error).kind())),
    };
    match ground.fleet.tenant(&id).await {
        Ok(db) => Ok(Asked::Row(ground.look(&db, "").await?.owner().to_owned())),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => Ok(Asked::Refused(error.kind())),
    }
}

/// Looks up tenants whose ids differ only in case, and one that does not exist.
pub(in crate::proof) async fn case(ground: &Ground<'_>) -> Attacked {
    let ids = ["acme", "Acme", "ACME"];
    for id in ids.into_iter().chain(ids) {
        match ask(ground, id).await? {
            Asked::Row(owner) if owner == id => {}
            Asked::Row(owner) => ground.leak(format!("tenant {id} read the row of {owner}")),
            Asked::Refused(kind) => {
                return Err(Stop::new(format!("tenant {id} was refused as {kind:?}")));
            }
        }
    }
    if let Asked::Row(owner) = ask(ground, "aCMe").await? {
        ground.leak(format!("aCMe, which does not exist, read the row of {owner}"));
    }
    let seen = "acme, Acme and ACME read a row each, aCMe was refused".to_owned();
    Ok(Finding { seen, rounds: 7 })
}

/// Texts that look like the id of a tenant, or that could be converted to it or to its schema.
const CONFUSABLE: &[&str] = &[
    "acme ",
    " acme",
    "acme\t",
    "acme\n",
    "acme\0",
    "acme%00",
    "acme%20",
    "acme.",
    ".acme",
    "acme/",
    "../acme",
    "acme/../acme",
    "acme;",
    "acme--",
    "acme'",
    "\"acme\"",
    "acme\"",
    "acme,globex",
    "acme, public",
    "аcme",
    "acmе",
    "ａｃｍｅ",
    "acme\u{200b}",
    "\u{feff}acme",
    "acme\u{301}",
    "ácme",
    "acme\u{202e}",
    "aсme",
    "ACMÉ",
    "acme\\",
    "acme:globex",
    "acme@globex",
    "$user",
    "\"$user\"",
    "pg_catalog",
    "pg_temp",
    "public",
    "information_schema",
    "",
    "*",
    "%",
    "_cme",
    "acm_",
    "acm%",
];

/// Looks up tenants by texts that are similar to a tenant's id.
pub(in crate::proof) async fn confusable(ground: &Ground<'_>) -> Attacked {
    let mut rounds = 0;
    let mark = ground.mark.as_str();
    let schemas = [format!("{mark}acme"), format!("\"{mark}acme\"")];
    for text in CONFUSABLE.iter().copied().chain(schemas.iter().map(String::as_str)) {
        rounds += 1;
        if let Asked::Row(owner) = ask(ground, text).await? {
            ground.leak(format!("{text:?} read the row of {owner}"));
        }
    }
    let seen = format!("{rounds} texts, each refused as no id or as an unknown tenant");
    Ok(Finding { seen, rounds })
}

/// Looks up tenants whose schemas would have the same name once PostgreSQL has truncated it to 63 bytes.
pub(in crate::proof) async fn long(ground: &Ground<'_>) -> Attacked {
    match ask(ground, LONGEST).await? {
        Asked::Row(owner) if owner == LONGEST => {}
        Asked::Row(owner) => ground.leak(format!("the longest id read the row of {owner}")),
        Asked::Refused(kind) => {
            return Err(Stop::new(format!("the longest id that fits was refused as {kind:?}")));
        }
    }
    for more in [
        "y",
        "x",
        "_other",
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
    ] {
        if let Asked::Row(owner) = ask(ground, &format!("{LONGEST}{more}")).await? {
            ground
                .leak(format!("an id that is {} bytes longer read the row of {owner}", more.len()));
        }
    }
    let seen = "the schema of 63 bytes served its tenant, longer names were refused".to_owned();
    Ok(Finding { seen, rounds: 6 })
}
