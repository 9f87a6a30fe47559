# Common tasks. `just` lists them.

_default:
    @just --list

# Run an example on a throwaway PostgreSQL; it prints requests to try
demo EXAMPLE="axum-crud":
    cargo run -p {{EXAMPLE}}

# Run the whole stack: the example behind PgBouncer, with Prometheus and Grafana; needs Docker
compose *ARGS:
    docker compose up --build {{ARGS}}

# Run all tests, against PostgreSQL servers that the tests start themselves
test:
    cargo test --workspace

# Run the core's tests on PostgreSQL 14 to 18 (downloaded with npm), or on some: `just test-versions 14 18`
test-versions *VERSIONS:
    .ci/versions {{VERSIONS}}

# Run the core's tests with all cases of the largest matrices, of which a usual run covers a part
test-thorough *FILTER="kill every_case names_of_schemas":
    TENANTRY_THOROUGH=1 cargo test -p tenantry --test it -- {{FILTER}}

# Render the diagrams of the documentation; needs Graphviz
diagrams:
    for source in docs/diagrams/*.dot; do dot -Tsvg "$source" -o "${source%.dot}.svg"; done

# Check formatting and lints, as CI does first
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Build an application against these crates with the oldest supported Rust, and the newest and oldest dependencies
dependents:
    .ci/dependents

# Check the Prometheus configuration and the alert rules, and run the rules' tests; needs promtool
check-ops:
    promtool check config ops/prometheus.yml
    promtool check rules ops/alerts.yml
    promtool test rules ops/alerts_test.yml

# Update the saved query data in examples/tested-service/.sqlx after changing a query or a migration
queries:
    .ci/queries --write

# Run the tests in a Citus cluster: that of TENANTRY_CITUS_URL, or of `docker compose --profile citus up citus`
test-citus *FILTER="citus":
    TENANTRY_CITUS_URL="${TENANTRY_CITUS_URL:-postgres://postgres@127.0.0.1:9700/postgres}" cargo test -p tenantry --test it -- {{FILTER}}

# Run the tests of migrations, provisioning and seeds
test-migrate:
    cargo test -p tenantry --test it -- migrate provision seed

# Simulate 200 processes with a shared budget and two million beats, under faults; takes minutes
simulate-budget:
    cargo test --release -p tenantry --lib -- --ignored two_hundred_processes

# Stress-test two releases side by side, with sign-ups and deploys
storm-releases SECONDS="60":
    TENANTRY_STORM_SECONDS={{SECONDS}} cargo test -p tenantry --test it -- two_releases_together

# Serve tenants of all kinds of isolation on two servers under faults
storm-kinds SECONDS="60":
    TENANTRY_STORM_SECONDS={{SECONDS}} cargo test -p tenantry --test it -- kinds::storm

# Compare schemas with random histories against pg_dump, in batches of 40 pairs
storm-schemas BATCHES="100" SEED="1":
    TENANTRY_RANDOM_BATCHES={{BATCHES}} TENANTRY_RANDOM_SEED={{SEED}} cargo test -p tenantry --test it -- --nocapture random_histories

# Run the sign-up example: a new tenant is served in the next request
demo-sign-up:
    cargo run -p sign-up

# Benchmark the pool against sqlx's pool, as ratios
bench *ARGS:
    cargo run --release -p tenantry-bench -- pool {{ARGS}}

# Benchmark axum and actix-web services against the same services on a plain PgPool; needs wrk
bench-http *ARGS:
    cargo run --release -p tenantry-bench -- http {{ARGS}}

# Benchmark migrations of many tenants against sqlx's Migrator, as ratios
bench-migrate *ARGS:
    cargo run --release -p tenantry-bench -- migrate {{ARGS}}

# Benchmark clones and templates against pg_dump, plain row copies and migration files, as ratios
bench-clone *ARGS:
    cargo run --release -p tenantry-bench -- clone {{ARGS}}

# Benchmark how fast the test kit creates a test's tenants
bench-test-kit *ARGS:
    cargo run --release -p tenantry-bench -- test-kit {{ARGS}}

# Build the documentation as a book in target/book/html; installs mdBook in target/tools
book:
    .ci/book

# Build the API documentation; warnings are errors
doc *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps {{ARGS}}
