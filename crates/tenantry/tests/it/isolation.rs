//! Every handle sees its own tenant and nothing else.

use crate::support::{TestResult, World, name_of};

#[tokio::test]
async fn each_handle_sees_its_own_tenant() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "ACME"]).await;
    let manager = world.builder().max_connections(2).build()?;
    for _ in 0..3 {
        for tenant in ["acme", "globex", "ACME"] {
            assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
        }
    }
    manager.close().await;
    Ok(())
}
