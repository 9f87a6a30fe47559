use futures_util::FutureExt;
use sqlx::{FromRow, Row, postgres::PgRow};

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, error_in_words, text::counted},
    error::Error,
    sql::Sql,
    tenant::Ident,
};

/// Privileges of the request role beyond its work.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "role",
    title: "Database role",
    reads: "the attributes of the role",
    look: |on| look(on).boxed(),
};

/// The maximum number of names listed in a finding.
const NAMED: usize = 5;

#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
struct Role {
    name: String,
    superuser: bool,
    bypass_rls: bool,
    create_role: bool,
    replication: bool,
    /// Predefined roles with administrative privileges that it is a member of.
    powers: Vec<String>,
    owns_database: bool,
    owned_schemas: i64,
    /// Schemas that do not belong to a tenant and that it can use.
    beyond: Vec<String>,
    beyond_total: i64,
}

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let fleet = on.fleet();
    let lookup = fleet.lookup();
    let tenants = on.tenants();
    let containers = tenants.iter().flat_map(|tenants| tenants.iter());
    let containers = containers.filter_map(|record| lookup.container(record).ok());
    let of_rows = lookup.isolations().rows().tables_schema();
    let everybodys = lookup.extension_schemas().iter().chain([fleet.shared().schema()]);
    let everybodys = everybodys.chain(of_rows);
    let known: Vec<_> =
        containers.chain(everybodys.cloned()).map(|name| name.to_string()).collect();
    let asked = sqlx::query_as(ROLE).bind(known).bind(POWERS).persistent(false);
    let role: Role = asked.fetch_one(on.system()).await?;
    let upkeep = fleet.server().role_of_manager().is_some();
    let examined = Examined::ok(role.in_words(upkeep)).findings(role.judge(upkeep));
    let examined = examined.findings(if upkeep { of_upkeep(on).await } else { None });
    Ok(match tenants {
        Ok(_) if role.superuser => examined,
        Ok(_) => examined.findings(role.reaches(|name| lookup.may_be_a_tenants(name))),
        Err(_) => {
            examined.unseen("which schemas belong to no tenant: the tenants cannot be listed")
        }
    })
}

/// Checks whether the maintenance role can log in.
async fn of_upkeep(on: OnServer<'_>) -> Option<Finding> {
    let error = on.fleet().lease().await.err()?;
    let finding =
        Finding::error("upkeep cannot log in with its credentials", error_in_words(&error));
    Some(
        finding
            .how("correct the upkeep credentials: migrations and provisioning fail without them"),
    )
}

impl FromRow<'_, PgRow> for Role {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            superuser: row.try_get("superuser")?,
            bypass_rls: row.try_get("bypass_rls")?,
            create_role: row.try_get("create_role")?,
            replication: row.try_get("replication")?,
            powers: row.try_get("powers")?,
            owns_database: row.try_get("owns_database")?,
            owned_schemas: row.try_get("owned_schemas")?,
            beyond: row.try_get("beyond")?,
            beyond_total: row.try_get("beyond_total")?,
        })
    }
}

impl Role {
    fn in_words(&self, upkeep: bool) -> String {
        let kind = if self.superuser { "superuser " } else { "" };
        let upkeep = if upkeep { ", upkeep has another" } else { "" };
        format!("{kind}{}{upkeep}", self.name)
    }

    fn judge(&self, upkeep: bool) -> Vec<Finding> {
        if self.superuser {
            let what = format!("{} is a superuser", self.name);
            let why = "one SQL injection reads every tenant, and runs programs on the server; row security and \
                       privileges do not apply to it";
            let how =
                "serve requests as a role without SUPERUSER that has only the rights that it needs";
            return vec![Finding::warning(what, why).how(how)];
        }
        let mut found = Vec::new();
        for (has, attribute, why) in [
            (self.bypass_rls, "bypassrls", "row-level security policies do not apply to it"),
            (self.create_role, "createrole", "it can become a member of other roles"),
            (self.replication, "replication", "it can copy the whole cluster, with every tenant"),
        ] {
            if has {
                found.push(self.without(attribute, why));
            }
        }
        found.extend(self.is_member());
        found.extend(self.owns(upkeep));
        found
    }

    /// Reports memberships in predefined roles.
    fn is_member(&self) -> Option<Finding> {
        if self.powers.is_empty() {
            return None;
        }
        let what = format!("{} is a member of {}", self.name, self.powers.join(", "));
        let why = "these predefined roles reach beyond granted tables: all data, or files and programs of the server";
        let finding = Finding::warning(what, why).how(format!(
            "revoke from {} the predefined roles that requests do not need",
            self.name
        ));
        Some(self.powers.iter().fold(finding, |finding, power| {
            let mut sql = Sql::new("revoke ");
            sql.name(power).text(" from ").name(&self.name);
            finding.sql(sql.as_str())
        }))
    }

    fn without(&self, attribute: &'static str, why: &str) -> Finding {
        let mut sql = Sql::new("alter role ");
        sql.name(&self.name).text(" no").text(attribute);
        Finding::warning(format!("{} has {attribute}", self.name), why)
            .how(format!("take {attribute} away from {}", self.name))
            .sql(sql.as_str())
    }

    /// Reports what it owns: an owner can drop and alter.
    fn owns(&self, upkeep: bool) -> Option<Finding> {
        let schemas = usize::try_from(self.owned_schemas).unwrap_or_default();
        let owned = match (self.owns_database, schemas) {
            (false, 0) => return None,
            (true, 0) => "the database".to_owned(),
            (false, schemas) => counted(schemas, "schema", "schemas"),
            (true, schemas) => {
                format!("the database and {}", counted(schemas, "schema", "schemas"))
            }
        };
        let what = format!("{}, which serves requests, owns {owned}", self.name);
        let why = "an owner can drop and alter its objects regardless of grants";
        Some(match upkeep {
            true => Finding::warning(what, why).how(
                "reassign what the request role owns to the upkeep role (reassign owned), and grant the request role its privileges",
            ),
            false => Finding::info(what, why)
                .how("configure upkeep credentials, and let that role own the schemas"),
        })
    }

    fn reaches(&self, may_be_a_tenants: impl Fn(&Ident) -> bool) -> Option<Finding> {
        let total = usize::try_from(self.beyond_total).unwrap_or_default();
        if total == 0 {
            return None;
        }
        let names: Vec<_> = self.beyond.iter().take(NAMED).map(String::as_str).collect();
        let more = if total > names.len() { ", …" } else { "" };
        let what = format!(
            "{} may use {} no tenant: {}{more}",
            self.name,
            counted(total, "schema that belongs to", "schemas that belong to"),
            names.join(", ")
        );
        let orphans = self.beyond.iter().filter_map(|name| Ident::parse(name).ok());
        let why = match orphans.filter(|name| may_be_a_tenants(name)).count() {
            0 => "statements of tenants can reach the objects in them",
            _ => "some match the name template, and can contain the data of a former tenant",
        };
        let how = "revoke usage on schemas that requests do not need, and drop unused ones";
        Some(Finding::info(what, why).how(how))
    }
}

/// Predefined roles that reach beyond granted tables.
const POWERS: [&str; 5] = [
    "pg_execute_server_program",
    "pg_read_all_data",
    "pg_read_server_files",
    "pg_write_all_data",
    "pg_write_server_files",
];

const ROLE: &str = "\
    with beyond as materialized ( \
      select n.nspname::pg_catalog.text as name from pg_catalog.pg_namespace n \
      where not (n.nspname::pg_catalog.text operator(pg_catalog.=) any ($1::pg_catalog.text[])) \
      and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') \
      and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'tenantry_') \
      and n.nspname operator(pg_catalog.<>) 'information_schema' \
      and n.nspname operator(pg_catalog.<>) 'public' \
      and pg_catalog.has_schema_privilege(session_user, n.oid, 'usage')) \
    select r.rolname::pg_catalog.text as name, r.rolsuper as superuser, r.rolbypassrls as bypass_rls, \
      r.rolcreaterole as create_role, r.rolreplication as replication, \
      array(select p.rolname::pg_catalog.text from pg_catalog.pg_roles p \
        where p.rolname::pg_catalog.text operator(pg_catalog.=) any ($2::pg_catalog.text[]) \
        and pg_catalog.pg_has_role(r.oid, p.oid, 'member') order by 1) as powers, \
      d.datdba operator(pg_catalog.=) r.oid as owns_database, \
      (select pg_catalog.count(*) from pg_catalog.pg_namespace n \
        where n.nspowner operator(pg_catalog.=) r.oid) as owned_schemas, \
      array(select b.name from beyond b order by 1 limit 20) as beyond, \
      (select pg_catalog.count(*) from beyond) as beyond_total \
    from pg_catalog.pg_roles r, pg_catalog.pg_database d \
    where r.rolname operator(pg_catalog.=) session_user \
    and d.datname operator(pg_catalog.=) pg_catalog.current_database()";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn more_rights_than_needed_are_told() {
        let app = || Role { name: "a\"p".into(), ..Role::default() };
        assert_eq!(app().judge(true), []);
        let found = Role { bypass_rls: true, owned_schemas: 2, ..app() }.judge(true);
        assert_eq!(found[0].sql, [r#"alter role "a""p" nobypassrls"#]);
        assert_eq!(found[1].severity, Severity::Warning);
        let owner = Role { owns_database: true, ..app() };
        assert_eq!(owner.judge(false)[0].severity, Severity::Info);
        let powers = Role { powers: vec!["pg_read_all_data".into()], ..app() };
        assert_eq!(powers.judge(true)[0].sql, [r#"revoke "pg_read_all_data" from "a""p""#]);
    }
}
