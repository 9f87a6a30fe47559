//! Failures of the work for a tenant.

use std::{any::Any, error::Error as StdError, sync::Arc};

use super::EachFailure;
use crate::{
    error::Error,
    error_report::{ErrorReport, chain},
};

/// Any error of the application.
pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// The work panicked.
#[derive(Debug, thiserror::Error)]
#[error("the work panicked: {0}")]
struct Panicked(String);

impl EachFailure {
    pub(crate) fn of(error: impl Into<BoxError>) -> Self {
        let error: Arc<dyn StdError + Send + Sync> = error.into().into();
        let message = ErrorReport::new(&*error).to_string();
        let described = chain(&*error).find_map(Error::described);
        let sqlstate = chain(&*error).find_map(sqlstate);
        let class = described.map(|error| error.class());
        Self { message, sqlstate, class, panicked: false, error }
    }

    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let words = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let words = words.unwrap_or("without a message").to_owned();
        Self { panicked: true, ..Self::of(Panicked(words)) }
    }
}

/// Returns the SQLSTATE of an sqlx error.
fn sqlstate(error: &(dyn StdError + 'static)) -> Option<String> {
    let of_sqlx = error
        .downcast_ref::<sqlx::Error>()
        .or_else(|| error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error))?;
    Some(of_sqlx.as_database_error()?.code()?.into_owned())
}
