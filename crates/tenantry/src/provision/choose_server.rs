//! The server of a new tenant.

use std::sync::Arc;

use tokio::time::Instant;

use super::Provisioner;
use crate::{
    error::{Error, ErrorKind},
    tenant::{MAIN, NoServer, TenantRecord},
};

impl Provisioner {
    /// Checks the server that the options of a creation name.
    pub(crate) fn check_server(&self, server: &str) -> Result<(), Error> {
        self.check_known(server)?;
        if self.fleet.servers().new_tenants().are_kept_off(server) {
            let attempted =
                format!("server {server} is draining and gets no new tenants: name another one");
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
        Ok(())
    }

    /// Checks that there is a server of this name.
    pub(crate) fn check_known(&self, server: &str) -> Result<(), Error> {
        if self.fleet.servers().all().any(|(name, _)| name == server) {
            return Ok(());
        }
        let name: String = server.chars().take(80).collect();
        let attempted = format!("there is no server {name:?}; there are {}", self.names());
        Err(Error::new(ErrorKind::Placement, attempted))
    }

    /// Chooses the server of a new tenant by the manager's policy. `None` is the manager's own server.
    pub(super) async fn choose_server(
        &self,
        record: &TenantRecord,
    ) -> Result<Option<Arc<str>>, Error> {
        let new_tenants = self.fleet.servers().new_tenants();
        if new_tenants.go_to_main() {
            return Ok(None);
        }
        if new_tenants.need_a_count() {
            self.count_tenants().await?;
        }
        match new_tenants.choose(record, fastrand::f64()) {
            Ok(name) => Ok((*name != *MAIN).then_some(name)),
            Err(none) => Err(self.no_server(&none).with_tenant(&record.id)),
        }
    }

    /// Counts the tenants of each server, unless another creation has just done so.
    async fn count_tenants(&self) -> Result<(), Error> {
        let new_tenants = self.fleet.servers().new_tenants();
        let _one_at_a_time = new_tenants.counting().await;
        if !new_tenants.need_a_count() {
            return Ok(());
        }
        let began = Instant::now();
        let tenants = self.fleet.count_by_server().await?;
        new_tenants.set_count(tenants, began.elapsed());
        Ok(())
    }

    /// Says why no server gets a tenant.
    pub(crate) fn no_server(&self, none: &NoServer) -> Error {
        let attempted = match none {
            NoServer::AllDrain => {
                "no server gets new tenants: each one is draining or excluded by the placement policy".to_owned()
            }
            NoServer::NoCandidate(name) => {
                let name: String = name.chars().take(80).collect();
                format!(
                    "the placement policy has chosen the server {name:?}, which is unknown, draining or excluded; there \
                     are {}",
                    self.names()
                )
            }
        };
        Error::new(ErrorKind::Placement, attempted)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.fleet.servers().all().map(|(name, _)| name).collect();
        names.join(", ")
    }
}
