//! The command line of Tenantry.
