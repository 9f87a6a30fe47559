//! What many tenants have in common, and keep in memory once.

use std::sync::Arc;

use crate::{
    pool::{Occupant, SharedHome},
    tenant::{OnServer, Placement},
};

/// What all tenants in the database of one server have in common, unless they have moved.
#[derive(Debug)]
pub(crate) struct Common {
    place: OnServer,
    home: SharedHome,
}

impl Common {
    /// Returns what those on this server have in common, with its name.
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
