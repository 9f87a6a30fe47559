//! A tenant that sends more requests than it may.

use tenantry::{TenantLimits, Tier};

use crate::{
    adapter::Adapter,
    client::{Answer, get},
    stage::Stage,
};

/// One request in 100 s.
const RARELY: f64 = 0.01;

/// Serves an app in which two tenants have a rate.
async fn stage<A: Adapter>() -> Stage {
    Stage::with::<A>(|builder| {
        let rated = |rate| Tier::new().limits(TenantLimits::new().requests_per_second(rate));
        builder.max_connections(2).tier(move |record| match record.id.as_str() {
            "acme" => rated(RARELY),
            "globex" => rated(5.0),
            _ => Tier::new(),
        })
    })
    .await
}

/// Returns the seconds after which a client that was refused may come again.
fn seconds_of(refused: &Answer) -> u64 {
    assert_eq!((refused.status, refused.problem_type().as_str()), (429, "rate-limited"));
    let seconds = refused.header("retry-after").expect("when to come again");
    seconds.parse().expect("whole seconds")
}

/// 429 with `Retry-After`, as a problem document; the handler does not run, and others are served.
pub async fn over_the_rate<A: Adapter>() {
    let stage = stage::<A>().await;
    assert_eq!(stage.get("/name", "acme").await.status, 200);
    for path in ["/name", "/own-name", "/tenant"] {
        let refused = stage.get(path, "acme").await;
        let seconds = seconds_of(&refused);
        assert!((90..=100).contains(&seconds), "{seconds}");
        assert_eq!(refused.problem()["detail"], "tenant acme sends too many requests");
    }
    for _ in 0..20 {
        assert_eq!(stage.get("/tenant", "t1").await.status, 200, "without a rate");
    }
    let mut served = 0;
    let refused = loop {
        let answer = stage.get("/tenant", "globex").await;
        match answer.status {
            200 => served += 1,
            _ => break answer,
        }
        assert!(served < 10_000, "never refused");
    };
    assert!(served >= 5, "a second's worth may come at once: {served}");
    assert_eq!(seconds_of(&refused), 1, "a fifth of a second, in whole ones");
    stage.end().await;
}

/// Who may not use a tenant neither uses up its rate nor learns of it.
pub async fn strangers_use_up_no_rate<A: Adapter>() {
    let stage = stage::<A>().await;
    let ask = async |user: &str| {
        let request = get("/guests/tenant").tenant("acme").header("x-user", user);
        request.send(&stage.server).await
    };
    for _ in 0..3 {
        assert_eq!(ask("globex").await.status, 403);
    }
    assert_eq!(ask("acme").await.status, 200);
    seconds_of(&ask("acme").await);
    assert_eq!(ask("globex").await.status, 403);
    stage.end().await;
}

/// A request for another tenant counts there.
pub async fn switches_count_where_they_lead<A: Adapter>() {
    let stage = stage::<A>().await;
    let act = async |own: &str, other: &str| {
        let request = get("/acting/tenant").tenant(own).header("x-verified", own);
        let request = request.header("x-act-as-tenant", other).header("x-user", "operator");
        request.send(&stage.server).await
    };
    assert_eq!(act("t1", "acme").await.status, 200);
    seconds_of(&act("t1", "acme").await);
    for _ in 0..3 {
        assert_eq!(act("acme", "t1").await.status, 200);
    }
    stage.end().await;
}
