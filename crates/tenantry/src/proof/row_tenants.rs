//! Two scratch tenants whose rows are in the same tables.

use super::mark::Mark;
use crate::{
    db::TenantDb,
    error::Error,
    fleet::Fleet,
    rows::RowsReport,
    sql::Sql,
    tenant::{Ident, IsolationKind, KeyType, Rows, TenantId, TenantRecord},
};

/// The name of the scratch schema that stands in for the shared one, after the mark.
pub(super) const SHARED: &str = "shared";

/// The name of their schema, after the mark.
const ROWS: &str = "rows";

/// What is known of rows before the attacks on them.
#[derive(Debug)]
pub(super) struct OfRows {
    /// Whether the scratch tables could be created.
    pub(super) created: Result<(), String>,
    /// The verification of the application's own tables.
    pub(super) verified: Result<RowsReport, String>,
}

/// Two tenants, and how their rows are told apart.
#[derive(Debug)]
pub(super) struct RowTenants {
    pub(super) of: Rows,
    pub(super) acme: RowTenant,
    pub(super) globex: RowTenant,
    /// The scratch schema with a function that runs any SQL. Beside their tables, it would make the
    /// pool reset the session after every plain query.
    shared: Ident,
    /// `true` if the sessions of tenants have another role than the one that owns the tables.
    pub(super) are_not_owner: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct RowTenant {
    pub(super) db: TenantDb,
    pub(super) key: &'static str,
    /// The id of its row in `people`.
    pub(super) person: &'static str,
}

/// The keys of the two, as PostgreSQL prints them.
fn keys(of: KeyType) -> [&'static str; 2] {
    match of {
        KeyType::Uuid => {
            ["ac3e0000-0000-4000-8000-000000000001", "610be000-0000-4000-8000-000000000002"]
        }
        KeyType::BigInt => ["1001", "1002"],
        KeyType::Text => ["acme", "globex"],
    }
}

const PEOPLE: [&str; 2] =
    ["00000000-0000-4000-8000-0000000000aa", "00000000-0000-4000-8000-0000000000bb"];

impl RowTenants {
    /// Returns handles of the two, without asking the catalog.
    pub(super) fn new(fleet: &Fleet, mark: &Mark) -> Result<Self, Error> {
        let of = fleet.lookup().isolations().rows().clone();
        let [acme, globex] = keys(of.key_type());
        let [ann, bob] = PEOPLE;
        Ok(Self {
            acme: RowTenant { db: handle(fleet, "acme", acme)?, key: acme, person: ann },
            globex: RowTenant { db: handle(fleet, "globex", globex)?, key: globex, person: bob },
            shared: mark.name(SHARED)?,
            are_not_owner: of.sessions_role().is_some()
                || fleet.server().role_of_manager().is_some(),
            of,
        })
    }

    /// Returns each of them with the other one.
    pub(super) fn pairs(&self) -> [(&RowTenant, &RowTenant); 2] {
        [(&self.acme, &self.globex), (&self.globex, &self.acme)]
    }

    /// Writes a tenant's SQL from a template with these words in braces:
    ///
    /// - `column`, `setting`: the tenant column and the setting, as identifiers;
    /// - `name`: the setting as a constant;
    /// - `own`, `mine`: the tenant's key, and the id of its row in `people`;
    /// - `key`, `row`: those of its victim;
    /// - `shared`: the schema of functions.
    pub(super) fn fill(
        &self,
        template: &'static str,
        tenant: &RowTenant,
        victim: &RowTenant,
    ) -> Sql {
        let mut sql = Sql::default();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').unwrap_or((after, ""));
            sql.text(before);
            let setting = self.of.key_setting();
            match word {
                "column" => sql.ident(self.of.key_column()),
                "setting" => sql.ident(&setting.class).text(".").ident(&setting.name),
                "name" => sql.literal(&setting.to_string()),
                "own" => sql.literal(tenant.key),
                "mine" => sql.literal(tenant.person),
                "key" => sql.literal(victim.key),
                "row" => sql.literal(victim.person),
                "shared" => sql.ident(&self.shared),
                unknown => unreachable!("{unknown} in a template"),
            };
            rest = after;
        }
        sql.text(rest);
        sql
    }
}

fn handle(fleet: &Fleet, id: &str, key: &str) -> Result<TenantDb, Error> {
    let record = TenantRecord::new(TenantId::parse(id)?).isolation(IsolationKind::Row).key(key);
    let db = fleet.rows_in_the_making(&record)?;
    // Attacks hold several connections at once.
    db.occupant().let_nest();
    Ok(db)
}

impl OfRows {
    /// Returns the tenants, if their tables were created.
    pub(super) fn tenants(&self, fleet: &Fleet, mark: &Mark) -> Result<RowTenants, String> {
        self.created.clone()?;
        RowTenants::new(fleet, mark).map_err(|error| error.to_string())
    }
}

/// Returns the schema that has the scratch tables.
pub(super) fn schema_of(mark: &Mark) -> Result<Ident, Error> {
    mark.name(ROWS)
}

/// Returns `true` if a scratch schema of any proof has this name.
pub(super) fn is_of_rows(schema: &str) -> bool {
    schema.strip_suffix(ROWS).is_some_and(|mark| mark.ends_with('_'))
}
