//! The attacks. Their SQL is that of hostile tenants, in scratch schemas.

pub(super) mod cancelled;
pub(super) mod crowd;
pub(super) mod ids;
pub(super) mod midway;
pub(super) mod planting;
pub(super) mod plants;
pub(super) mod roles;
pub(super) mod rows;
pub(super) mod schemas;
pub(super) mod statements;
pub(super) mod storm;
pub(super) mod turns;
