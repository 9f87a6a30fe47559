//! Roles that policies do not apply to, and those that cannot serve tenants.

use super::{Case, RowsFinding, RowsRule};
use crate::{
    finding::{Finding, Severity},
    plain::listed,
    rows::verify::facts::Role,
    sql::Sql,
    tenant::Ident,
};

pub(super) fn judge(case: Case<'_>) -> Vec<RowsFinding> {
    let mut found: Vec<_> = missing(case).collect();
    for role in &case.facts.roles {
        found.extend(escapes(role));
        found.extend(owns(role));
    }
    found
}

fn missing(case: Case<'_>) -> impl Iterator<Item = RowsFinding> {
    let schema = (!case.facts.schema_exists).then(|| {
        let what = format!("there is no schema {}", case.schema);
        let finding = Finding::error(what, "it is configured as the schema of all tenants' tables")
            .how("create the schema, or correct the configuration");
        RowsFinding::new(RowsRule::Configuration, case.schema.as_str(), finding)
    });
    let roles = case.facts.missing_roles.iter().map(|role| {
        let what = format!("there is no role {role}");
        let finding = Finding::error(what, "sessions of tenants are to take it on, and fail")
            .how("create the role without login, and grant it to the login of the service");
        RowsFinding::new(RowsRule::Configuration, role, finding)
    });
    schema.into_iter().chain(roles).chain(refused(case).or_else(|| barred(case)))
}

/// Reports that the login cannot become the configured role. Roles of records can be those of
/// tenants with logins of their own.
fn refused(case: Case<'_>) -> Option<RowsFinding> {
    let role = case.rows.sessions_role()?.as_str();
    let login = &case.facts.login;
    if !case.facts.refused_roles.iter().any(|refused| refused == role) {
        return None;
    }
    let what = format!("{login} cannot become the role {role} of tenants' sessions");
    let mut sql = Sql::new("grant ");
    sql.name(role).text(" to ").name(login);
    let finding =
        Finding::error(what, "no tenant can be served, and the policies cannot be tested")
            .how("grant the role to the login")
            .sql(sql.as_str());
    Some(RowsFinding::new(RowsRule::Configuration, role, finding))
}

/// Reports that the role of tenants' sessions may not use the schema of the tables.
fn barred(case: Case<'_>) -> Option<RowsFinding> {
    let role = case.rows.sessions_role().map_or(&*case.facts.login, Ident::as_str);
    if !case.facts.barred_roles.iter().any(|barred| barred == role) {
        return None;
    }
    let what =
        format!("the role {role} of tenants' sessions may not use the schema {}", case.schema);
    let mut sql = Sql::new("grant usage on schema ");
    sql.ident(case.schema).text(" to ").name(role);
    let finding = Finding::error(what, "statements on the tables of tenants fail")
        .how("grant usage on the schema to the role")
        .sql(sql.as_str());
    Some(RowsFinding::new(RowsRule::Configuration, role, finding))
}

/// Reports a superuser, and a role with `bypassrls` or `replication`.
fn escapes(role: &Role) -> Option<RowsFinding> {
    if role.reaches_files {
        return Some(reaches_files(role));
    }
    const NONE: &str = "no policy applies to it, forced or not";
    let (attribute, why) = match role {
        Role { superuser: true, .. } => ("superuser", NONE),
        Role { bypass_rls: true, .. } => ("bypassrls", NONE),
        Role { replication: true, .. } => (
            "replication",
            "with a replication slot, it reads the changes of all tables, which no policy filters",
        ),
        _ => return None,
    };
    let what = format!("{}{} has {attribute}", role.path(), role.name);
    let finding = role.finding(what, why);
    let mut sql = Sql::new("alter role ");
    sql.name(&role.name).text(" no").text(attribute);
    let how = match role.is_itself() {
        true => format!("serve tenants as a role without {attribute}"),
        false => format!("revoke {} from {}, or take {attribute} away from it", role.name, role.of),
    };
    let statement = if role.is_itself() { sql.as_str().to_owned() } else { role.revoke() };
    Some(RowsFinding::new(RowsRule::Role, &role.name, finding.how(how).sql(statement)))
}

/// Reports a membership in one of PostgreSQL's roles for the files of the server.
fn reaches_files(role: &Role) -> RowsFinding {
    let what = format!("{}{}", role.path(), role.name);
    let why =
        "the files of the server, or programs that run as its user, have the rows of all tenants";
    let how = format!("revoke {} from {}", role.name, role.of);
    let finding = role.finding(what, why).how(how).sql(role.revoke());
    RowsFinding::new(RowsRule::Role, &role.name, finding)
}

fn owns(role: &Role) -> Option<RowsFinding> {
    if role.owns.is_empty() || role.superuser {
        return None;
    }
    let what = format!("{}{} owns {}", role.path(), role.name, listed(&role.owns, 5));
    let why =
        "an owner can disable row security, and sees every row of a table that does not force it";
    let finding = role.finding(what, why);
    Some(RowsFinding::new(RowsRule::Role, &role.name, match role.is_itself() {
        true => finding.how(
            "let another role own the tables and migrate (upkeep_credentials), or set a role for the sessions of \
             tenants (Rows::role)",
        ),
        false => finding
            .how(format!("revoke {} from {}", role.name, role.of))
            .sql(role.revoke()),
    }))
}

impl Role {
    fn is_itself(&self) -> bool {
        self.name == self.of
    }

    /// Returns how sessions become the role, if they are not.
    fn path(&self) -> String {
        match (self.is_itself(), self.bound) {
            (true, true) => "the role of tenants' sessions ".to_owned(),
            (true, false) => "the login of tenants' sessions ".to_owned(),
            (false, _) => format!("{} can become ", self.of),
        }
    }

    /// Returns an error, or a warning if sessions only become the role when their own is reset.
    fn finding(&self, what: String, why: &'static str) -> Finding {
        let mut finding = Finding::error(what, why);
        if !self.bound {
            finding.severity = Severity::Warning;
            finding.why = format!("a statement that resets the role reaches it; {why}");
        }
        finding
    }

    fn revoke(&self) -> String {
        let mut sql = Sql::new("revoke ");
        sql.name(&self.name).text(" from ").name(&self.of);
        sql.as_str().to_owned()
    }
}
