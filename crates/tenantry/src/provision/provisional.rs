//! The schemas that are no tenant's yet: what they are called, and how they are told to be ready.

use std::hash::{BuildHasher, RandomState};

use crate::{
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// The comment on a schema that is ready to be a tenant's.
pub(super) const READY: &str = "tenantry: ready";

/// Makes a name that nothing has yet.
pub(super) fn new_name() -> Ident {
    let number = RandomState::new().hash_one(0_u8);
    Ident::parse(&format!("{PROVISIONAL}{number:016x}")).expect("it is short and has no NUL")
}

/// Appends what makes a schema.
pub(super) fn create(sql: &mut Sql, schema: &Ident) {
    sql.text("create schema ").ident(schema).text("; ");
}

/// Appends what says that a schema is ready, or takes that back.
pub(super) fn comment(sql: &mut Sql, schema: &Ident, ready: bool) {
    sql.text("comment on schema ").ident(schema).text(" is ");
    match ready {
        true => sql.literal(READY).text("; "),
        false => sql.text("null; "),
    };
}
