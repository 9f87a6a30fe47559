use futures_util::FutureExt;

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, Severity, text::counted},
    error::Error,
    sql::Sql,
    tenant::Ident,
};

/// Defaults of roles and databases that change the behavior of sessions (`alter role … set`).
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "searchPath",
    title: "Defaults of roles and database",
    reads: "pg_db_role_setting",
    look: |on| look(on).boxed(),
};

/// A default, for a role, a database or both.
#[derive(Debug, Clone)]
struct Preset {
    role: Option<String>,
    database: Option<String>,
    name: String,
    value: String,
}

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let records = on.tenants().unwrap_or_default();
    let roles = records.iter().filter_map(|record| record.role.as_ref());
    let roles: Vec<_> = roles.chain(on.server().role_of_manager()).map(Ident::to_string).collect();
    let asked = sqlx::query_as(DEFAULTS).bind(roles).persistent(false);
    let rows: Vec<(Option<String>, Option<String>, String)> = asked.fetch_all(on.system()).await?;
    let defaults: Vec<_> = rows.into_iter().filter_map(Preset::of).collect();
    let message = match defaults.len() {
        0 => "none".to_owned(),
        count => counted(count, "default", "defaults"),
    };
    Ok(Examined::ok(message).findings(defaults.iter().filter_map(Preset::judge)))
}

impl Preset {
    fn of((role, database, setting): (Option<String>, Option<String>, String)) -> Option<Self> {
        let (name, value) = setting.split_once('=')?;
        Some(Self { role, database, name: name.to_lowercase(), value: value.to_owned() })
    }

    /// Returns a finding if it is harmful.
    fn judge(&self) -> Option<Finding> {
        let (severity, why) = self.harm()?;
        let Self { name, value, .. } = self;
        let what = format!("{} sets {name} = {value}", self.of_whom());
        let finding = match severity {
            Severity::Info => Finding::info(what, why),
            Severity::Warning => Finding::warning(what, why),
            Severity::Error => Finding::error(what, why),
        };
        let how = format!("reset {name} of {}, unless it is intended", self.of_whom());
        Some(finding.how(how).sql(self.reset()))
    }

    /// Returns how it harms sessions, and how much.
    fn harm(&self) -> Option<(Severity, &'static str)> {
        let is_on = matches!(self.value.to_lowercase().as_str(), "on" | "true" | "yes" | "1");
        let zero = self.value.trim_start_matches('0').is_empty();
        let harm = match self.name.as_str() {
            "search_path" => (
                Severity::Info,
                "the library sets the search path of each session itself, but psql and other programs use this one",
            ),
            "role" => (
                Severity::Warning,
                "sessions run as a different role than their login until the library sets a tenant's role",
            ),
            "default_transaction_read_only" | "transaction_read_only" if is_on => {
                (Severity::Error, "every statement that writes fails (25006)")
            }
            "row_security" if !is_on => (
                Severity::Error,
                "statements on tables with row security fail instead of being filtered",
            ),
            "session_replication_role" if self.value != "origin" => (
                Severity::Error,
                "triggers and foreign keys are not enforced, so rows that violate them are accepted",
            ),
            "statement_timeout" if zero => (
                Severity::Info,
                "a statement can run indefinitely, whatever the server's default is",
            ),
            "transaction_timeout" if !zero => (
                Severity::Info,
                "the server ends longer transactions of requests; maintenance turns the limit off",
            ),
            "idle_in_transaction_session_timeout" if zero => (
                Severity::Info,
                "a transaction can stay open indefinitely unless the pool sets a limit",
            ),
            "synchronous_commit"
                if !is_on && self.value != "remote_apply" && self.value != "remote_write" =>
            {
                (Severity::Warning, "confirmed commits can be lost when the server crashes")
            }
            "standard_conforming_strings" if !is_on => (
                Severity::Warning,
                "a backslash in a string constant is an escape character, so escaping by hand is unsafe",
            ),
            "default_transaction_isolation" if self.value != "read committed" => {
                (Severity::Info, "transactions can fail with 40001 and must be retried")
            }
            _ => return None,
        };
        Some(harm)
    }

    fn of_whom(&self) -> String {
        match (&self.role, &self.database) {
            (Some(role), Some(database)) => format!("role {role} in database {database}"),
            (Some(role), None) => format!("role {role}"),
            (None, Some(database)) => format!("database {database}"),
            (None, None) => "the default of all roles".to_owned(),
        }
    }

    fn reset(&self) -> String {
        let mut sql = Sql::new("alter ");
        match (&self.role, &self.database) {
            (Some(role), Some(database)) => {
                sql.text("role ").name(role).text(" in database ").name(database)
            }
            (Some(role), None) => sql.text("role ").name(role),
            (None, Some(database)) => sql.text("database ").name(database),
            (None, None) => sql.text("role all"),
        };
        sql.text(" reset ").name(&self.name);
        sql.as_str().to_owned()
    }
}

/// Role, database and `name=value` of the defaults for sessions of the manager, of maintenance and of tenants' roles.
const DEFAULTS: &str = "\
    select r.rolname::pg_catalog.text, d.datname::pg_catalog.text, c.setting \
    from pg_catalog.pg_db_role_setting s \
    left join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) s.setrole \
    left join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) s.setdatabase \
    cross join lateral pg_catalog.unnest(s.setconfig) as c (setting) \
    where (s.setdatabase operator(pg_catalog.=) 0::pg_catalog.oid \
      or d.datname operator(pg_catalog.=) pg_catalog.current_database()) \
    and (s.setrole operator(pg_catalog.=) 0::pg_catalog.oid \
      or r.rolname operator(pg_catalog.=) session_user \
      or r.rolname::pg_catalog.text operator(pg_catalog.=) any ($1::pg_catalog.text[])) \
    order by 1, 2, 3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hurts_is_told_and_undone() {
        let judged = |setting: &str| {
            let of = Preset::of((Some("app".into()), Some("d\"b".into()), setting.into())).unwrap();
            of.judge().map(|finding| (finding.severity, finding.sql))
        };
        let sql =
            |name: &str| vec![format!(r#"alter role "app" in database "d""b" reset "{name}""#)];
        for (setting, name, severity) in [
            ("search_path=\"$user\", public", "search_path", Severity::Info),
            ("role=other", "role", Severity::Warning),
            ("default_transaction_read_only=on", "default_transaction_read_only", Severity::Error),
            ("row_security=off", "row_security", Severity::Error),
            ("session_replication_role=replica", "session_replication_role", Severity::Error),
            ("statement_timeout=0", "statement_timeout", Severity::Info),
        ] {
            assert_eq!(judged(setting), Some((severity, sql(name))), "{setting}");
        }
        for setting in ["row_security=on", "statement_timeout=60s", "work_mem=64MB", "TimeZone=UTC"]
        {
            assert_eq!(judged(setting), None, "{setting}");
        }
    }
}
