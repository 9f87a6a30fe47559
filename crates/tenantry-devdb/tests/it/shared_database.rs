//! A shared database is prepared once, and found again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry_devdb::SharedDatabase;

use crate::database::{connect, text};

#[tokio::test]
async fn it_is_prepared_once_for_all_who_ask() {
    let setups = Arc::new(AtomicUsize::new(0));
    let key = format!("{} {:?}", std::process::id(), std::time::SystemTime::now());
    let tasks = (0..4).map(|_| {
        let (setups, key) = (Arc::clone(&setups), key.clone());
        tokio::spawn(async move {
            SharedDatabase::prepare("devdb it", &key, async |url: String| {
                setups.fetch_add(1, Ordering::SeqCst);
                let mut connection = connect(&url).await;
                sqlx::raw_sql("create table once (n int)").execute(&mut connection).await.map(drop)
            })
            .await
            .unwrap()
        })
    });
    let mut names = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        let database = task.await.unwrap();
        names.push(database.name().to_owned());
        let mut connection = connect(database.url()).await;
        assert_eq!(text(&mut connection, "select count(*)::text from once").await, "0");
    }
    names.dedup();
    assert_eq!((names.len(), setups.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn one_whose_setup_fails_is_prepared_anew() {
    let key = format!("{} {:?} fails", std::process::id(), std::time::SystemTime::now());
    let failing = SharedDatabase::prepare("devdb it", &key, async |_| Err("in vain")).await;
    let error = format!("{:?}", failing.unwrap_err());
    assert!(error.contains("in vain"), "{error}");
    let again = SharedDatabase::prepare("devdb it", &key, async |_| Ok::<_, String>(())).await;
    assert!(again.unwrap().name().starts_with("tenantry_test_"));
}
