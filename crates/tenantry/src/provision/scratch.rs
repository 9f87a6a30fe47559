//! A schema in which migrations are applied for a look at what they make.

use super::{Provisioner, made::migration, provisional};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{MigrateOptions, Migrations, apply_all},
    schema::{
        SchemaModel,
        read::{self, Subject},
        unreadable,
    },
    tenant::Ident,
};

/// Applies migrations up to a version in a scratch schema with a provisional name, and reads what they make. The
/// schema is removed, and so are those that were left behind by a process that was killed.
///
/// `role` is granted what the role of a tenant is granted.
pub(crate) async fn model_of_migrations(
    fleet: &Fleet,
    set: &Migrations,
    to: Option<i64>,
    role: Option<&Ident>,
) -> Result<SchemaModel, Error> {
    let provisioner = Provisioner::new(fleet.clone()).tenants(set.clone());
    provisioner.remove_left_behind().await?;
    let site = fleet.site_of(&provisional::new_name());
    let role = role.or(fleet.server().role_of_manager());
    let mut lease = provisioner.hold_new(&site, role).await?;
    let own = role.filter(|role| Some(*role) != fleet.server().role_of_manager()).cloned();
    let subject = Subject { schema: site.schema.clone(), role: own };
    let made = async {
        let mut options = MigrateOptions::default();
        options.to = to;
        if to != Some(0) {
            apply_all(set, &site, &options, role, &mut lease).await.map_err(migration)?;
        }
        let models = read::details(&mut lease, &[&subject]).await?;
        match models.into_iter().next() {
            Some(model) => model.map_err(|reason| unreadable(&subject, reason)),
            None => Err(Error::new(ErrorKind::Placement, "reading a scratch schema")),
        }
    };
    let made = made.await;
    provisioner.give_up(Some(lease), &site.schema, false).await;
    made
}
