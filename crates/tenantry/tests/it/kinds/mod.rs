//! Tenants of every kind of isolation on two servers, in one stream of requests.

mod ground;
mod storm;
