//! The source and the clone of rows, as which a session acts by turns.

use super::copies::Copies;
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    sql::Sql,
};

/// The source and the clone, in the same tables.
pub(super) struct Pair<'a> {
    pub(super) from: &'a RowsOfTenant,
    pub(super) to: &'a RowsOfTenant,
    pub(super) site: &'a Site,
}

pub(super) fn changed(copies: &Copies<'_>) -> Error {
    let attempted = format!(
        "table {} of the clone has other rows than the source: a trigger or a rule changes what is inserted",
        copies.table
    );
    Error::new(ErrorKind::Clone, attempted)
}

/// Appends the statement after which policies show the rows of this key.
pub(super) fn act_as(sql: &mut Sql, rows: &RowsOfTenant) {
    let setting = rows.of.key_setting();
    sql.text("set local ").ident(&setting.class).text(".").ident(&setting.name);
    sql.text(" to ").literal(&rows.key).text("; ");
}
