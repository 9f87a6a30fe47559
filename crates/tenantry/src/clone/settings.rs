//! What the sessions that copy have set, in their transactions alone.

use std::time::Duration;

use crate::sql::Sql;

/// Appends what has the transaction see the rows of one moment, which others may share. It comes first.
pub(crate) fn in_snapshot_sql(sql: &mut Sql) {
    sql.text("set transaction isolation level repeatable read; ");
}

/// Appends the settings: limits of the server or the role would end a long copy, and values have to mean the same to
/// the session that prints them and to the one that reads them. Where row security would hide rows, an error is better
/// than a smaller copy.
pub(super) fn session_sql(sql: &mut Sql, lock_timeout: Duration) {
    let millis = u64::try_from(lock_timeout.as_millis()).unwrap_or(u64::MAX);
    sql.text("set local lock_timeout = ")
        .number(millis.clamp(1, u64::from(i32::MAX.unsigned_abs())));
    sql.text(
        "; set local statement_timeout = 0; \
         set local idle_in_transaction_session_timeout = 0; \
         set local row_security = off; \
         set local check_function_bodies = off; \
         set local standard_conforming_strings = on; \
         set local default_tablespace = ''; \
         set local default_table_access_method = heap; \
         set local datestyle = 'ISO, YMD'; \
         set local intervalstyle = postgres; \
         set local extra_float_digits = 3; \
         set local bytea_output = hex; \
         set local lc_monetary = 'C'; \
         set local xmloption = content; ",
    );
}

/// Appends the end of the limit that PostgreSQL 17 has added. It needs a snapshot.
pub(super) fn unlimited_sql(sql: &mut Sql) {
    sql.text(
        "select pg_catalog.set_config(s.name, '0', true) from pg_catalog.pg_settings s \
         where s.name operator(pg_catalog.=) 'transaction_timeout'; ",
    );
}
