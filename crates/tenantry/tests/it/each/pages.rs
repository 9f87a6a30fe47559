use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{StreamExt, TryStreamExt};
use tenantry::{
    Catalog, ErrorKind, TenantId, TenantRecord,
    catalog::{Answer, Ask, Page},
};

use super::builder;
use crate::support::{TestResult, World};

/// A catalog with pages of two tenants, read with a connection. Pages after `last` cannot be read, and
/// `turns_around` has a page lead to itself.
#[derive(Debug)]
struct Paged {
    read: Arc<AtomicUsize>,
    last: usize,
    turns_around: bool,
}

impl Catalog for Paged {
    fn resolve<'a>(&'a self, _: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        Box::pin(async move { Ok(Some(TenantRecord::new(id.clone()))) })
    }

    fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(async { panic!("it is read page by page") })
    }

    fn list_page<'a>(&'a self, ask: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            self.read.fetch_add(1, Ordering::Relaxed);
            let page: usize = from.map_or(0, |from| from.parse().expect("it is a number"));
            sqlx::query("select 1").execute(ask.shared).await?;
            if page > self.last {
                return Err(tenantry::Error::catalog("there is no such page"));
            }
            let tenant = |n: usize| TenantRecord::new(format!("t{n}").parse().expect("an id"));
            let tenants = vec![tenant(2 * page), tenant(2 * page + 1)];
            let next = if self.turns_around { page } else { page + 1 };
            Ok(match page {
                2 => Page::last(tenants),
                _ => Page::with_next(tenants, next.to_string()),
            })
        })
    }
}

#[tokio::test]
async fn tenants_come_page_by_page_and_no_connection_is_held_between_pages() -> TestResult {
    let world = World::new().await;
    let read = Arc::new(AtomicUsize::new(0));
    let pages = |last, turns_around| {
        let catalog = Paged { read: Arc::clone(&read), last, turns_around };
        builder(&world).catalog(catalog).max_connections(1).build()
    };
    let manager = pages(9, false)?;
    let mut tenants = manager.tenants_stream();
    assert_eq!(read.load(Ordering::Relaxed), 0, "nothing is read before it is asked for");
    let mut ids = Vec::new();
    while let Some(tenant) = tenants.try_next().await? {
        ids.push(tenant.id.to_string());
        assert_eq!(read.load(Ordering::Relaxed), ids.len().div_ceil(2), "{ids:?}");
        // There is one connection, and it is free.
        assert_eq!(manager.snapshot().leased, 0);
        sqlx::query("select 1").execute(manager.shared()).await?;
    }
    assert_eq!(ids, ["t0", "t1", "t2", "t3", "t4", "t5"]);
    assert!(tenants.next().await.is_none());
    // It borrows nothing, and can be dropped at any time.
    let owned = manager.tenants_stream();
    let ids: Vec<_> = tokio::spawn(owned.take(3).try_collect::<Vec<_>>()).await??;
    assert_eq!(ids.len(), 3);
    manager.close().await;
    let closed = manager.tenants_stream().next().await.expect("it says that it is closed");
    assert_eq!(closed.expect_err("it is closed").kind(), ErrorKind::Closed);

    for (last, turns_around) in [(0, false), (9, true)] {
        let manager = pages(last, turns_around)?;
        let results: Vec<_> = manager.tenants_stream().collect().await;
        let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(results.len() - errors.len(), 2, "{results:?}");
        assert_eq!(errors.len(), 1, "it ends with the first error");
        assert_eq!(errors[0].kind(), ErrorKind::Catalog);
        manager.close().await;
    }
    Ok(())
}
