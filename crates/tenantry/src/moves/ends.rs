//! The two servers of a move, and the tenant's schema on them.

use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{Provisioner, refuse_unfinished},
    reading::subject_of,
    schema::read::Subject,
    tenant::{Home, Ident, IsolationKind, MAIN, TenantId, TenantRecord, TenantState},
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
    /// The name of its schema, on both servers.
    pub(super) schema: Ident,
    pub(super) shared: Ident,
}

impl Ends {
    /// Finds the tenant and the servers.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) if the server is unknown or drains; [`Config`](ErrorKind::Config) if the
    /// tenant is there already; and what the look-up of the tenant returns.
    pub(super) async fn find(control: &Fleet, id: &TenantId, to: &str) -> Result<Self, Error> {
        let record = control.record(id).await?;
        refuse_unfinished(&record)?;
        Provisioner::new(control.clone()).check_server(to)?;
        let from = control.home_of(&record)?;
        if from.server() == to {
            let attempted = format!("moving a tenant: it is on server {to} already");
            return Err(Error::new(ErrorKind::Config, attempted).with_tenant(id));
        }
        Self::between(control, record, &from.of_server(), to)
    }

    /// Returns the ends of a move that is on record.
    pub(super) fn between(
        control: &Fleet,
        record: TenantRecord,
        from: &Home,
        to: &str,
    ) -> Result<Self, Error> {
        let schema = control.lookup().place(&record)?.container().clone();
        Ok(Self {
            source: control.at(from),
            target: control.at(&Home::named(to, None)),
            shared: control.shared_site().schema,
            control: control.clone(),
            record,
            schema,
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

    /// Returns how the tenant is kept apart.
    pub(super) fn kind(&self) -> IsolationKind {
        self.control.lookup().isolations().kind_of(&self.record)
    }

    /// Returns the tenant as it will be after the move.
    pub(super) fn moved(&self, epoch: u64) -> TenantRecord {
        let to = self.to();
        TenantRecord {
            server: (to != MAIN).then(|| to.into()),
            epoch: epoch + 1,
            state: TenantState::Active,
            ..self.record.clone()
        }
    }

    /// Returns the site on the source.
    pub(super) fn site_at_source(&self) -> Site {
        self.source.site_at(&self.record, &self.schema)
    }

    /// Returns the site on the target.
    pub(super) fn site_at_target(&self) -> Site {
        self.target.site_at(&self.record, &self.schema)
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
