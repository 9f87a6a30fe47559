//! Names of what replication needs.

use sqlx::SqlStr;

use crate::{
    moves::{id::MoveId, own_table::OwnTable},
    schema::{BeyondKind, SchemaModel},
    sql::Sql,
    tenant::Ident,
};

/// The table of markers, in the schema of the records in both databases.
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

/// Returns the statement that writes the marker of a fence.
pub(in crate::moves) fn mark_sql(shared: &Ident, id: MoveId) -> SqlStr {
    write_sql(shared, &id.digits())
}

/// Returns the statement that writes a marker.
pub(super) fn write_sql(shared: &Ident, marker: &str) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    MARKERS.name(&mut sql, shared);
    sql.text(" (move) values (").literal(marker).text(") on conflict do nothing");
    sql.finish()
}

/// Returns the statement that finds a marker.
pub(super) fn find_sql(shared: &Ident, marker: &str) -> SqlStr {
    let mut sql = Sql::new("select from ");
    MARKERS.name(&mut sql, shared);
    sql.text(" as m where m.move operator(pg_catalog.=) ").literal(marker);
    sql.finish()
}

/// Returns the statement that deletes all markers of a move.
pub(super) fn delete_sql(shared: &Ident, id: MoveId) -> SqlStr {
    let mut sql = Sql::new("delete from ");
    MARKERS.name(&mut sql, shared);
    sql.text(" as m where pg_catalog.starts_with(m.move, ").literal(&id.digits()).text(")");
    sql.finish()
}

/// Returns a new name for a marker of a move: the fence has another one.
pub(super) fn new_marker(id: MoveId) -> String {
    format!("{}-{:016x}", id.digits(), fastrand::u64(..))
}

/// Takes the publication of a move, which ends with it, out of a model. It is no limitation of the copy.
pub(in crate::moves) fn forget_publication(model: &mut SchemaModel, id: MoveId) {
    let name = name_of(id);
    model.beyond.retain(|fact| {
        fact.what != BeyondKind::Published || fact.other.as_deref() != Some(name.as_str())
    });
}
