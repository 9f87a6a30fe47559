//! What the system catalogs say about the tables that hold the rows of all tenants.

use serde::Deserialize;

/// The answer to the [catalog query](super::query::FACTS).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Facts {
    /// `server_version_num`.
    pub(super) version: i32,
    /// Whether the schema exists.
    pub(super) schema_exists: bool,
    /// The name of the login.
    pub(super) login: String,
    /// Names of roles, of those asked about, that do not exist.
    pub(super) missing_roles: Vec<String>,
    /// Names of roles, of those asked about, that the login cannot become.
    pub(super) refused_roles: Vec<String>,
    /// Names of roles, of those asked about and the login, that may not use the schema.
    pub(super) barred_roles: Vec<String>,
    pub(super) roles: Vec<Role>,
    pub(super) tables: Vec<Table>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) views: Vec<View>,
    pub(super) parts_elsewhere: Vec<Part>,
    pub(super) rewrites: Vec<Rewrite>,
    pub(super) functions: Vec<Function>,
    pub(super) policy_functions: Vec<Function>,
}

impl Facts {
    /// Returns `true` if the login can take on this role, of those asked about.
    pub(super) fn can_become(&self, role: &str) -> bool {
        let not = self.missing_roles.iter().chain(&self.refused_roles);
        not.into_iter().all(|name| name != role)
    }
}

/// A role that sessions have or can become, and that policies may not apply to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    /// The role that can become it; its own name if it is that role.
    pub(super) of: String,
    /// Whether sessions of tenants run as that role. If not, it is their login.
    pub(super) bound: bool,
    pub(super) superuser: bool,
    pub(super) bypass_rls: bool,
    /// Whether it can read the changes of all tables.
    pub(super) replication: bool,
    /// Whether it can read or write files of the server, or run programs there.
    pub(super) reaches_files: bool,
    /// Names of tables that it owns, at most five.
    pub(super) owns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) name: String,
    /// `relkind`.
    pub(super) kind: String,
    pub(super) is_partition: bool,
    pub(super) row_security: bool,
    pub(super) forced: bool,
    pub(super) column: Option<Column>,
    pub(super) policies: Vec<Policy>,
    pub(super) indexes: Vec<Index>,
    pub(super) grants: Vec<Grant>,
    /// Whether sessions have privileges on it, granted or by a role such as `pg_read_all_data`.
    pub(super) reached: bool,
    pub(super) sequences: Vec<String>,
}

/// The tenant column of a table.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Column {
    #[serde(rename = "type")]
    pub(super) of: String,
    pub(super) not_null: bool,
    /// Whether its collation tells all different texts apart.
    pub(super) deterministic: bool,
    pub(super) default: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) permissive: bool,
    /// `polcmd`: `*` for all commands.
    pub(super) command: String,
    /// Whether it applies to all roles.
    pub(super) public: bool,
    pub(super) using: Option<String>,
    pub(super) check: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Index {
    pub(super) name: String,
    /// Whether it is unique, or of an exclusion constraint.
    pub(super) unique: bool,
    pub(super) method: String,
    /// Whether the tenant column is one of its keys.
    pub(super) has_column: bool,
    /// Whether the tenant column is its first key.
    pub(super) leads: bool,
    /// Whether a condition that it is made for calls a function that is not leakproof.
    pub(super) leaky: bool,
}

/// Privileges of a role that sessions have or can become.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Grant {
    /// `None` for `public`.
    pub(super) grantee: Option<String>,
    pub(super) privileges: Vec<String>,
}

/// A foreign key to one of the tables.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) parent: String,
    /// Whether it compares the tenant columns of both.
    pub(super) paired: bool,
}

/// A partition or an inheriting table in another schema, which sessions can name and which has no restrictive policy.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Part {
    pub(super) schema: String,
    pub(super) name: String,
}

/// A rule whose action uses one of the tables, on a table or view that sessions can write to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Rewrite {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) name: String,
    /// Whether policies do not apply to its owner, forced or not.
    pub(super) owner_escapes: bool,
}

/// A view or materialized view of one of the tables.
#[derive(Debug, Default, Deserialize)]
pub(super) struct View {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) materialized: bool,
    pub(super) invoker: bool,
    /// Whether policies do not apply to its owner, forced or not.
    pub(super) owner_escapes: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Function {
    pub(super) schema: String,
    pub(super) name: String,
    /// As the server prints it in an expression.
    pub(super) printed: String,
    pub(super) arguments: i32,
    /// Its name with its arguments, for statements.
    pub(super) signature: String,
    /// `provolatile`.
    pub(super) volatility: String,
    pub(super) language: String,
    pub(super) body: String,
    pub(super) owner_escapes: bool,
}
