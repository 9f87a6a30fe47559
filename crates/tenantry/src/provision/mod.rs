//! Creating, suspending, renaming and dropping tenants.
//!
//! [`TenantManager::provisioner`](crate::TenantManager::provisioner) creates a [`Provisioner`]. Creating a tenant is
//! atomic: its schema with all migrations and seeds, and its row in the catalog.

mod adopt;
mod after_create;
mod answer;
mod archived;
mod choose_server;
mod claim;
mod cloning;
mod commit;
mod create;
mod database_spares;
mod distributed;
mod drop;
mod elsewhere;
mod holders;
mod import;
mod in_parts;
mod in_rows;
mod inventory;
mod made;
mod mark;
mod new_tenant;
mod newer;
mod options;
mod patience;
mod privileges;
mod provisional;
mod provisioner;
mod report;
mod retired;
mod rights;
mod scratch;
mod spare_note;
mod spares;
mod states;
mod step;
mod strategy;
mod template;
mod unassigned;
mod underway;
mod written;

pub use crate::{
    migrate::stored_names::{NameOutcome, StoredIn, StoredName, StoredNames},
    rows::TableRows,
};
pub use adopt::{Adopt, AdoptReport};
pub use database_spares::{DatabaseSpares, DatabaseSparesReport, SparesOnServer};
pub(crate) use distributed::distribute;
pub(crate) use elsewhere::{SpareDatabases, ensure_schema, name_of_schema, oid_of_schema};
pub(crate) use import::Imported;
pub(crate) use in_rows::{Catching, ChangeLog, RowsAt};
pub(crate) use inventory::outside as objects_outside;
pub use options::{CreateOptions, DropOptions};
pub(crate) use patience::in_a_moment;
pub(crate) use provisional::{Provisional, is_unfinished};
pub use provisioner::Provisioner;
pub use report::{Created, DropReport, HowMade, SpareReport};
pub(crate) use retired::{
    ensure_table as ensure_retired, forget_sql as forget_retired_sql, note_sql as note_retired_sql,
};
pub(crate) use scratch::{each_version, model_of_migrations};
pub(crate) use step::refuse_unfinished;
pub(crate) use underway::{LOCK_OF_MAKER, lock_of_maker};
