//! The place of many tenants, in memory once.

use std::sync::Arc;

use crate::{
    pool::{Occupant, SharedHome},
    tenant::{OnServer, Placement},
};

/// The placement that all tenants in the database of one server share, unless they have moved.
#[derive(Debug)]
pub(crate) struct SharedPlace {
    place: OnServer,
    home: SharedHome,
}

impl SharedPlace {
    /// Returns that of the tenants on this server, with its name.
    pub(crate) fn of(server: &str) -> (Arc<str>, Self) {
        let server = Arc::from(server);
        let place = OnServer::new(&server);
        (server, Self { home: SharedHome::of(place.home()), place })
    }

    /// Places an occupant, in shared memory if it is possible.
    pub(super) fn shared(&self, place: Placement, occupant: Occupant) -> (Placement, Occupant) {
        let (home, epoch) = (place.home(), place.epoch());
        let occupant = match epoch == 1 && place.is_sharing(&self.place) {
            true => occupant.in_home(&self.home),
            false => occupant.placed(home, epoch),
        };
        (place.sharing(&self.place), occupant)
    }
}
