//! The contents of a schema: its model, and how to read, compare and print it.

mod attribute;
mod beyond;
mod compare;
mod ddl;
pub(crate) mod export;
mod introspect;
mod kind;
pub(crate) mod lint;
mod mentions;
mod model;
pub(crate) mod read;
mod references;
mod repair;
pub(crate) mod tokens;

pub use attribute::Attribute;
pub use beyond::{Beyond, BeyondKind};
pub use compare::{Change, Difference, compare, without_consequences};
pub(crate) use ddl::{AroundRows, fill, name_of, object_ddl, tables_read, told_with, unqualified};
pub use export::ModelError;
pub(crate) use export::keys::{ForeignKey, foreign_keys, primary_key};
pub(crate) use introspect::unreadable;
pub use introspect::{cross_references, fingerprints, introspect, introspect_all};
pub use kind::ObjectKind;
pub use lint::{LintFinding, LintOptions, LintRule, NameStyle, Severity};
pub use model::{Object, ObjectKey, SchemaModel, Value};
pub use read::Fingerprint;
pub use references::{CrossReference, ReferenceKind};
pub use repair::{Hazard, Impossible, LockMode, Rename, Repair, Step, repair};
