use std::time::Duration;

use super::{Ask, Catalog, in_time};
use crate::{
    error::{Error, ErrorKind},
    tenant::TenantRecord,
};

/// A page of the list of all tenants.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The tenants, including suspended ones.
    pub tenants: Vec<TenantRecord>,
    /// Start of the next page, as a token of the catalog. `None` on the last page.
    pub next: Option<String>,
}

impl Page {
    /// Creates the last page.
    #[must_use]
    pub fn last(tenants: Vec<TenantRecord>) -> Self {
        Self { tenants, next: None }
    }

    /// Creates a page that is followed by another one.
    #[must_use]
    pub fn with_next(tenants: Vec<TenantRecord>, next: impl Into<String>) -> Self {
        Self { tenants, next: Some(next.into()) }
    }
}

/// Number of tenants on a page of the library's own catalogs.
pub(super) const PAGE: i64 = 10_000;

/// Returns the start of the next page after these rows: after the last one, if they fill a page.
pub(super) fn next<R>(rows: &[R], name: impl FnOnce(&R) -> String) -> Option<String> {
    let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
    rows.last().filter(|_| full).map(name)
}

/// Reads all pages, each within the timeout.
pub(super) async fn all<C: Catalog + ?Sized>(
    catalog: &C,
    ask: Ask<'_>,
    limit: Option<Duration>,
) -> Result<Vec<TenantRecord>, Error> {
    let (mut tenants, mut from) = (Vec::new(), None::<String>);
    loop {
        let page = read(catalog, ask, from.as_deref(), limit).await?;
        tenants.extend(page.tenants);
        match page.next {
            None => return Ok(tenants),
            next => from = next,
        }
    }
}

/// Reads a page within the timeout.
pub(super) async fn read<C: Catalog + ?Sized>(
    catalog: &C,
    ask: Ask<'_>,
    from: Option<&str>,
    limit: Option<Duration>,
) -> Result<Page, Error> {
    let page = catalog.list_page(ask, from);
    let page = match limit {
        Some(limit) => in_time(limit, page).await?,
        None => page.await?,
    };
    if page.next.is_some() && page.next.as_deref() == from {
        let attempted = "listing tenants: a page of the catalog refers to itself as the next one";
        return Err(Error::new(ErrorKind::Catalog, attempted));
    }
    Ok(page)
}
