//! Names of what replication needs.

use sqlx::SqlStr;

use crate::{
    moves::{id::MoveId, own_table::OwnTable},
    sql::Sql,
    tenant::Ident,
};

/// The table of markers, in the shared schema of both servers.
pub(super) const MARKERS: OwnTable = OwnTable {
    name: "tenantry_markers",
    columns: "move pg_catalog.text primary key",
    index: None,
    lock: 7_234_619_037_121,
};

/// Returns the name of the publication, the slot and the subscription of a move.
pub(super) fn name_of(id: MoveId) -> Ident {
    Ident::parse(&format!("tenantry_move_{}", id.digits())).expect("it is short and has no NUL")
}

/// Returns the statement that writes the marker of a move.
pub(in crate::moves) fn mark_sql(shared: &Ident, id: MoveId) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    MARKERS.name(&mut sql, shared);
    sql.text(" (move) values (").literal(&id.digits()).text(") on conflict do nothing");
    sql.finish()
}
