//! Side-by-side benchmarks of Tenantry and common alternatives, with the same workload.
//!
//! The crate's README describes each scenario and how to read the table.

mod args;
mod clone;
mod contender;
mod failure;
mod http;
mod isolation;
mod load;
mod memory;
mod migrate;
mod pool;
mod popularity;
mod programs;
mod race;
mod rounds;
mod scale;
mod schema;
mod sessions;
mod stats;
mod table;
mod test_kit;
mod times;
mod trusted;
mod world;

use std::{fs, process::ExitCode};

use clap::Parser;

use crate::{
    args::{
        Args, CloneArgs, Command, HttpArgs, IsolationArgs, MigrateArgs, PoolArgs, ScaleArgs,
        SchemaArgs, TestKitArgs,
    },
    failure::Failure,
    pool::{Bench, idle_tenant},
    world::World,
};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the requested benchmark and returns the text for standard output.
fn run(args: Args) -> Result<String, Failure> {
    if let Command::Serve(args) = &args.command {
        http::serve(args, |address| print(&address.to_string()))?;
        return Ok(String::new());
    }
    if let Command::TestKit(args) = &args.command {
        return test_kit(args);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    match args.command {
        Command::Http(args) => runtime.block_on(http(&args)),
        Command::Migrate(args) => runtime.block_on(migrate(&args)),
        Command::Schema(args) => runtime.block_on(schema(&args)),
        Command::Clone(args) => runtime.block_on(clone(&args)),
        Command::Isolation(args) => runtime.block_on(isolation(&args)),
        Command::Scale(args) => runtime.block_on(scale(&args)),
        Command::MigrateRunner { url } => runtime.block_on(migrate::run_one(&url)),
        Command::Serve(_) | Command::TestKit(_) => Ok(String::new()),
        Command::Pool(args) => runtime.block_on(pool(&args)),
        Command::IdleTenants { tenants } => {
            let bytes = runtime.block_on(idle_tenant::measure(tenants))?;
            Ok(bytes.to_string())
        }
        Command::ManyServers { tenants, urls } => {
            let measured = runtime.block_on(scale::measure_servers(&urls, tenants))?;
            Ok(serde_json::to_string(&measured)?)
        }
    }
}

async fn pool(args: &PoolArgs) -> Result<String, Failure> {
    let mut bench = Bench::start(args).await?;
    let report = bench.run().await;
    bench.stop().await;
    let report = report?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render(&report))
}

async fn http(args: &HttpArgs) -> Result<String, Failure> {
    let mut world = World::start().await?;
    let report = http::run(args, &mut world).await;
    world.stop().await;
    let report = report?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_http(&report))
}

async fn migrate(args: &MigrateArgs) -> Result<String, Failure> {
    let report = migrate::run(args).await?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_migrate(&report))
}

async fn schema(args: &SchemaArgs) -> Result<String, Failure> {
    let report = schema::run(args).await?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_schema(&report))
}

async fn clone(args: &CloneArgs) -> Result<String, Failure> {
    let report = clone::run(args).await?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_clone(&report))
}

async fn isolation(args: &IsolationArgs) -> Result<String, Failure> {
    let report = isolation::run(args).await?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_isolation(&report))
}

async fn scale(args: &ScaleArgs) -> Result<String, Failure> {
    let report = scale::run(args).await?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_scale(&report))
}

fn test_kit(args: &TestKitArgs) -> Result<String, Failure> {
    let report = test_kit::run(args)?;
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(table::render_test_kit(&report))
}

#[expect(clippy::print_stdout, reason = "the result of the program, printed in this place alone")]
fn print(text: &str) {
    println!("{text}");
}
