//! What the benchmarks promise to whoever runs them.

mod report;
