//! The server, in a separate process.

use std::{net::SocketAddr, str::FromStr};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenantry::TenantManager;
use tokio::net::TcpListener;

use super::{CONNECTIONS, actix_app, axum_app, query::Bare};
use crate::{
    args::{Framework, ServeArgs, Variant},
    failure::Failure,
    world::Tenant,
};

/// Serves until the process is terminated, and reports its address as soon as it listens.
pub(crate) fn serve(args: &ServeArgs, tell: fn(SocketAddr)) -> Result<(), Failure> {
    let options = PgConnectOptions::from_str(&args.url)?.application_name(&args.name);
    match args.framework {
        Framework::Axum => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                tell(listener.local_addr()?);
                match args.variant {
                    Variant::Tenantry => axum_app::tenantry(listener, manager(options)?).await,
                    bare => axum_app::bare(listener, pool(options, bare)).await,
                }
            })
        }
        Framework::Actix => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            tell(listener.local_addr()?);
            actix_app::run(async {
                match args.variant {
                    Variant::Tenantry => actix_app::tenantry(listener, manager(options)?).await,
                    bare => actix_app::bare(listener, pool(options, bare)).await,
                }
            })
        }
    }
}

fn manager(options: PgConnectOptions) -> Result<TenantManager, Failure> {
    let connections = usize::try_from(CONNECTIONS)?;
    Ok(TenantManager::builder_with(options).max_connections(connections).build()?)
}

fn pool(options: PgConnectOptions, variant: Variant) -> Bare {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(variant != Variant::BareNoPing)
        .connect_lazy_with(options);
    Bare::new(pool, &Tenant::first())
}
