//! Roles that can access a tenant's objects.

use futures_util::FutureExt;

use super::{
    check::{ask, looked_at},
    public_privileges, tenant_roles,
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

async fn look(on: &Subject) -> Result<Examined, Error> {
    let tenants = match looked_at(on) {
        Ok(tenants) => tenants,
        Err(examined) => return Ok(*examined),
    };
    let told = ask(on, &tenants, public_privileges::QUESTIONS).await?;
    let told = told.and(ask(on, &tenants, tenant_roles::QUESTIONS).await?);
    let examined = told.examined("no privilege too many and none missing", &tenants);
    Ok(match tenants.with_login {
        0 => examined,
        logins => examined.unseen(format!(
            "what {} may do that log in themselves: only the source of their credentials knows their roles",
            counted(logins, "tenant", "tenants")
        )),
    })
}
