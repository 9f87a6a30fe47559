//! Roles that can access a tenant's objects.

use futures_util::FutureExt;

use super::{
    check::ask,
    everywhere::{Besides, Local, everywhere},
    public_privileges, tenant_roles,
    told::{Told, merged},
};
use crate::{
    doctor::{BuiltIn, Examined, Subject, text::counted},
    error::Error,
};

/// The check of privileges and owners.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "tenantPrivileges",
    title: "Privileges in tenants' schemas",
    reads: "the privileges",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| look_into(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let mut logins = 0;
    let found = std::mem::take(&mut all.found).into_iter().map(|(home, (told, some))| {
        logins += some;
        (home, told)
    });
    let told = merged(found.collect(), all.examined);
    let fine = || format!("no privilege too many and none missing in {}", all.in_words());
    let examined = all.unseen(told.examined(fine));
    Ok(match logins {
        0 => examined,
        logins => examined.unseen(format!(
            "what {} may do that log in themselves: only the source of their credentials knows their roles",
            counted(logins, "tenant", "tenants")
        )),
    })
}

/// Looks into one database, and returns with the findings how many tenants log in themselves.
async fn look_into(local: Local<'_>) -> Result<(Told, usize), Error> {
    let told = ask(&local, public_privileges::QUESTIONS).await?;
    let told = told.and(ask(&local, tenant_roles::QUESTIONS).await?);
    Ok((told, local.tenants.with_login))
}
