//! The expressions of the policies.

use crate::{
    sql::Sql,
    tenant::{Ident, KeyType, Rows},
};

/// The permissive policy, without which no role sees a row.
pub(crate) const OPEN_POLICY: &str = "tenantry_all";

/// The restrictive policy, which confines statements to the rows of one tenant whatever other
/// policies allow.
pub(crate) const TENANT_POLICY: &str = "tenantry_tenant";

/// Appends the key of the session; null if no tenant is bound.
///
/// A setting that was reset is an empty text, which is not a `uuid` or `bigint`.
pub(crate) fn key_of_session(sql: &mut Sql, rows: &Rows) {
    sql.text("nullif(current_setting(").literal(&rows.key_setting().to_string());
    sql.text(", true), '')");
    let of = rows.key_type();
    if of != KeyType::Text {
        sql.text("::").text(of.as_str());
    }
}

/// Appends the key of the session as a sub-select.
///
/// The planner estimates with the key itself if it stands alone, and a prepared statement is kept
/// from one tenant to the next: planned by a tenant with most of the rows, it would scan the whole
/// table for one with few. It does not look into a sub-select.
pub(crate) fn key_read_once(sql: &mut Sql, rows: &Rows) {
    sql.text("(select ");
    key_of_session(sql, rows);
    sql.text(")");
}

/// Appends the policy that lets sessions see rows.
pub(crate) fn create_open_policy(sql: &mut Sql, schema: Option<&Ident>, table: &str) {
    sql.text("create policy ").text(OPEN_POLICY).text(" on ");
    qualified(sql, schema, table).text(" as permissive for all using (true) with check (true)");
}

/// Appends the policy that confines statements to the rows of one tenant.
pub(crate) fn create_tenant_policy(
    sql: &mut Sql,
    rows: &Rows,
    schema: Option<&Ident>,
    table: &str,
) {
    sql.text("create policy ").text(TENANT_POLICY).text(" on ");
    qualified(sql, schema, table).text(" as restrictive for all\n  using (");
    sql.ident(rows.key_column()).text(" = ");
    key_read_once(sql, rows);
    sql.text(")\n  with check (").ident(rows.key_column()).text(" = ");
    key_of_session(sql, rows);
    sql.text(")");
}

/// Appends the action of `alter table` that sets the default of the tenant column.
pub(crate) fn set_default(sql: &mut Sql, rows: &Rows) {
    sql.text("alter column ").ident(rows.key_column()).text(" set default ");
    key_of_session(sql, rows);
}

/// Appends the name of a table.
pub(crate) fn qualified<'s>(sql: &'s mut Sql, schema: Option<&Ident>, table: &str) -> &'s mut Sql {
    if let Some(schema) = schema {
        sql.ident(schema).text(".");
    }
    sql.name(table)
}
