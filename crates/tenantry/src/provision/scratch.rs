//! A scratch schema in which migrations are applied to inspect the result.

use super::{Provisioner, made::migration, provisional};
use crate::{
    citus::Sharding,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{Failure, MigrateOptions, Migrations, apply_all},
    schema::{
        SchemaModel,
        read::{self, Subject},
        unreadable,
    },
    tenant::Ident,
};

/// Applies migrations one by one in a scratch schema, and passes the result of each version to a callback, starting
/// with the empty schema. Returns why a file could not be applied, if so; later versions are then omitted.
pub(crate) async fn each_version(
    fleet: &Fleet,
    set: &Migrations,
    show: &mut (dyn FnMut(Option<i64>, &SchemaModel) + Send),
) -> Result<Option<Failure>, Error> {
    let provisioner = Provisioner::new(fleet.clone()).tenants(set.clone());
    provisioner.remove_left_behind().await?;
    let site = fleet.site_of(&provisional::new_name());
    let role = fleet.server().role_of_manager();
    let mut lease = provisioner.hold_new(&site, role, Sharding::Plain).await?;
    let subject = Subject { schema: site.schema.clone(), role: None };
    let shown = async {
        let versions = set.files().iter().map(|file| Some(file.version()));
        for version in std::iter::once(None).chain(versions) {
            if let Some(version) = version {
                let options = MigrateOptions::default().to(version);
                if let Err(failure) = apply_all(set, &site, &options, role, &mut lease).await {
                    return match failure.kind() {
                        ErrorKind::Unavailable => Err(migration(failure)),
                        _ => Ok(Some(failure)),
                    };
                }
            }
            let model = read::details(&mut lease, &[&subject]).await?.into_iter().next();
            match model {
                Some(Ok(model)) => show(version, &model),
                Some(Err(reason)) => return Err(unreadable(&subject, reason)),
                None => {}
            }
        }
        Ok(None)
    };
    let shown = shown.await;
    provisioner.give_up(Some(lease), &site.schema, false).await;
    shown
}

/// Applies migrations up to a version in a scratch schema with a provisional name, and reads the result. The schema
/// is removed, and so are those that a killed process has left behind.
///
/// `role` gets the privileges of a tenant's role.
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
    let mut lease = provisioner.hold_new(&site, role, Sharding::Plain).await?;
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
