//! The two ends of a move: the databases, and what the tenant has in them.

use std::sync::Arc;

use sqlx::Row;

use super::{Destination, id::book, places::Places};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{Provisioner, RowsAt, refuse_unfinished},
    reading::subject_of,
    schema::{Attribute, ObjectKind, SchemaModel, Value, read::Subject},
    tenant::{Ident, IsolationKind, Placement, TenantId, TenantRecord, TenantState},
};

/// The tenant, where it is and where it goes to.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// Maintenance of the manager's database, where the catalog and the records of moves are.
    pub(super) control: Fleet,
    pub(super) source: Fleet,
    pub(super) target: Fleet,
    /// The tenant as it was before the move.
    pub(super) record: TenantRecord,
    /// The tenant as it will be, with the number of its placement before the move.
    pub(super) placed: TenantRecord,
    /// The schema with its tables on the source.
    pub(super) schema: Ident,
    /// The schema with its tables on the target.
    pub(super) to_schema: Ident,
    /// The schema of the records of moves, in both databases.
    pub(super) book: Ident,
    source_kind: IsolationKind,
    target_kind: IsolationKind,
}

impl Ends {
    /// Finds the tenant and the databases.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) if the server is unknown or drains; [`Config`](ErrorKind::Config) if the
    /// tenant is there already, or a database is named for another kind; and what the look-up of the tenant returns.
    pub(super) async fn find(
        control: &Fleet,
        id: &TenantId,
        to: &Destination,
    ) -> Result<Self, Error> {
        let record = control.record(id).await?;
        refuse_unfinished(&record)?;
        let from = control.lookup().place(&record)?;
        let provisioner = Provisioner::new(control.clone());
        match to.names_server() {
            Some(server) if server == from.server() => provisioner.check_known(server)?,
            Some(server) => provisioner.check_server(server)?,
            None => {}
        }
        let placed = to.placed(&record, &from);
        let placed = placed.map_err(|error| error.with_tenant(id))?;
        let there = control.lookup().place(&placed)?;
        if there.spot() == from.spot() {
            let attempted = match from.isolation() {
                IsolationKind::Schema => {
                    format!("moving a tenant: it is on server {} already", from.server())
                }
                kind => format!(
                    "moving a tenant: it is on server {}, isolated by {kind}, already",
                    from.server()
                ),
            };
            return Err(Error::new(ErrorKind::Config, attempted).with_tenant(id));
        }
        Self::between(control, record, placed)
    }

    /// Returns the ends of a move between two places.
    pub(super) fn between(
        control: &Fleet,
        record: TenantRecord,
        placed: TenantRecord,
    ) -> Result<Self, Error> {
        let [from, to] = [control.lookup().place(&record)?, control.lookup().place(&placed)?];
        let is_own = |place: &Placement| place.database().is_some();
        Ok(Self {
            source: control.at(&from.home()),
            target: control.at(&to.home()),
            schema: from.container().clone(),
            to_schema: to.container().clone(),
            book: match is_own(&from) || is_own(&to) {
                // The shared schema can have the name of the tenant's own one.
                true => book(),
                false => control.shared_site().schema,
            },
            source_kind: from.isolation(),
            target_kind: to.isolation(),
            control: control.clone(),
            record,
            placed,
        })
    }

    pub(super) fn id(&self) -> &TenantId {
        &self.record.id
    }

    pub(super) fn to(&self) -> &str {
        self.target.home().server()
    }

    pub(super) fn from(&self) -> &str {
        self.source.home().server()
    }

    /// Returns both places, for the record of the move.
    pub(super) fn places(&self) -> Result<Places, Error> {
        let place = |record: &TenantRecord| self.control.lookup().place(record);
        let (from, to) = (place(&self.record)?, place(&self.placed)?);
        Ok(Places::between((&from, &self.record), (&to, &self.placed)))
    }

    /// Returns the servers, and the kinds if these differ, in words.
    pub(super) fn in_words(&self) -> String {
        let (from, to, was, is) = (self.from(), self.to(), self.source_kind, self.target_kind);
        match was == is {
            true => format!("from server {from} to {to}"),
            false => format!("from server {from} ({was}) to {to} ({is})"),
        }
    }

    /// Returns how the tenant is kept apart on the source.
    pub(super) fn source_kind(&self) -> IsolationKind {
        self.source_kind
    }

    /// Returns how the tenant is kept apart on the target.
    pub(super) fn target_kind(&self) -> IsolationKind {
        self.target_kind
    }

    /// Returns `true` if the tenant leaves, or gets into, the tables of all tenants: its rows move, and not its tables.
    pub(super) fn are_rows(&self) -> bool {
        [self.source_kind, self.target_kind].contains(&IsolationKind::Row)
    }

    /// Returns maintenance of the target's server, in the database of its URL. That of the tenant may not exist yet.
    pub(super) fn target_server(&self) -> Fleet {
        self.control.at(&self.target.home().of_server())
    }

    /// Returns `true` if both ends are databases of one server.
    pub(super) fn are_on_one_server(&self) -> bool {
        Arc::ptr_eq(self.source.server(), self.target.server())
    }

    /// Returns `true` if the schema on the target is the one that its new database has from the beginning.
    pub(super) fn has_own_schema(&self) -> bool {
        self.new_database().is_some() && self.to_schema.as_str() == "public"
    }

    /// Returns the tenant's rows on the source, of this site.
    pub(super) fn rows_of_source<'a>(&'a self, site: &'a Site) -> RowsAt<'a> {
        let are_shared = self.source_kind == IsolationKind::Row;
        RowsAt { fleet: &self.source, site, record: &self.record, are_shared }
    }

    /// Returns the tenant's rows on the target, of this site.
    pub(super) fn rows_of_target<'a>(&'a self, site: &'a Site) -> RowsAt<'a> {
        let are_shared = self.target_kind == IsolationKind::Row;
        RowsAt { fleet: &self.target, site, record: &self.placed, are_shared }
    }

    /// Returns the model of the source for the target. The schema `public` of a database belongs to the owner of that, and
    /// has privileges and a comment of its own; a schema beside those of others belongs to the role of maintenance.
    pub(super) async fn for_target(&self, mut model: SchemaModel) -> Result<SchemaModel, Error> {
        let kinds = (self.source_kind, self.target_kind);
        if kinds != (IsolationKind::Database, IsolationKind::Schema)
            || self.schema.as_str() != "public"
        {
            return Ok(model);
        }
        let role = "select pg_catalog.quote_ident(current_user::pg_catalog.text)";
        let mut lease = self.target.lease().await?;
        let owner: String = sqlx::raw_sql(role).fetch_one(&mut *lease).await?.try_get(0)?;
        lease.settle().await;
        for (_, schema) in
            model.objects.iter_mut().filter(|(key, _)| key.kind == ObjectKind::Schema)
        {
            schema.set(Attribute::Owner, Value::Text(owner.clone()));
            schema.remove(Attribute::Grants);
            if schema.text(Attribute::Comment) == Some("standard public schema") {
                schema.remove(Attribute::Comment);
            }
        }
        Ok(model)
    }

    /// Returns the name of the database that the move creates.
    pub(super) fn new_database(&self) -> Option<&Ident> {
        self.target.home().database()
    }

    /// Returns the schema in which names that were given up are recorded in a database. In the database of a tenant,
    /// nothing gets a name that was.
    pub(super) fn shared_in(&self, fleet: &Fleet) -> Option<Ident> {
        fleet.home().database().is_none().then(|| self.control.shared_site().schema)
    }

    /// Returns the tenant as it will be after the move.
    pub(super) fn moved(&self, epoch: u64) -> TenantRecord {
        TenantRecord { epoch: epoch + 1, state: TenantState::Active, ..self.placed.clone() }
    }

    /// Returns the site on the source.
    pub(super) fn site_at_source(&self) -> Site {
        self.source.site_at(&self.record, &self.schema)
    }

    /// Returns the site on the target.
    pub(super) fn site_at_target(&self) -> Site {
        self.target.site_at(&self.placed, &self.to_schema)
    }

    /// Returns the site of the tenant's rows on the source, in tables of this schema if they are its own.
    pub(super) fn rows_at_source(&self, schema: &Ident) -> Result<Site, Error> {
        rows_at(&self.source, &self.record, schema, self.source_kind)
    }

    /// Returns the site of the tenant's rows on the target.
    pub(super) fn rows_at_target(&self) -> Result<Site, Error> {
        rows_at(&self.target, &self.placed, &self.to_schema, self.target_kind)
    }

    /// Returns how to read the schema on the source.
    pub(super) async fn subject_at_source(&self) -> Result<Subject, Error> {
        subject_of(&self.source, &self.site_at_source()).await
    }

    /// Returns how to read the schema on the target.
    pub(super) async fn subject_at_target(&self) -> Result<Subject, Error> {
        subject_of(&self.target, &self.site_at_target()).await
    }
}

/// Returns the site of a tenant's rows. In tables of its own, they have the same key.
fn rows_at(
    fleet: &Fleet,
    record: &TenantRecord,
    schema: &Ident,
    kind: IsolationKind,
) -> Result<Site, Error> {
    if kind == IsolationKind::Row {
        return fleet.site_of_rows(record);
    }
    let isolations = fleet.lookup().isolations();
    let Some(key) = isolations.key(record) else {
        let attempted = "its sessions would have no key in tables of its own, because the manager has no settings of \
                         rows: add them with ManagerBuilder::or_isolation";
        return Err(Error::new(ErrorKind::Config, attempted).with_tenant(&record.id));
    };
    let rows = RowsOfTenant { of: isolations.rows().clone(), key: key.value };
    Ok(fleet.site_at(record, schema).with_rows(rows))
}
