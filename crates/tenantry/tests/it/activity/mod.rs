//! What the database says of its load is true, and what it does not say is named.

mod scraped;
mod servers;
mod sessions;
mod sizes;
