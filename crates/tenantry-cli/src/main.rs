//! The command line of Tenantry.

fn main() {}
