use std::time::Duration;

use super::{Ask, Catalog, in_time};
use crate::{
    error::{Error, ErrorKind},
    tenant::TenantRecord,
};

/// A part of the list of all tenants.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The tenants, the suspended ones too.
    pub tenants: Vec<TenantRecord>,
    /// Where the next page begins, as the catalog itself names it. `None` when this is the last one.
    pub next: Option<String>,
}

impl Page {
    /// Makes a page that is the last one.
    #[must_use]
    pub fn last(tenants: Vec<TenantRecord>) -> Self {
        Self { tenants, next: None }
    }

    /// Makes a page with another one behind it.
    #[must_use]
    pub fn with_next(tenants: Vec<TenantRecord>, next: impl Into<String>) -> Self {
        Self { tenants, next: Some(next.into()) }
    }
}

/// How many tenants are on a page of the library's own catalogs.
pub(super) const PAGE: i64 = 10_000;

/// Returns where the next page begins after these rows: after the last one, if they fill a page.
pub(super) fn next<R>(rows: &[R], name: impl FnOnce(&R) -> String) -> Option<String> {
    let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
    rows.last().filter(|_| full).map(name)
}

/// Reads all pages, each within the limit.
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

/// Reads a page within the limit.
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
        let attempted = "listing tenants: a page of the catalog leads to itself";
        return Err(Error::new(ErrorKind::Catalog, attempted));
    }
    Ok(page)
}
