//! The messages of `proto/notes.proto`, and the code that `build.rs` generates from its service.

#![allow(
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "it is generated"
)]

include!(concat!(env!("OUT_DIR"), "/notes.v1.Notes.rs"));

#[derive(Clone, PartialEq, prost::Message)]
pub struct NewNote {
    #[prost(string, tag = "1")]
    pub text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ListNotes {}

#[derive(Clone, PartialEq, prost::Message, sqlx::FromRow)]
pub struct Note {
    #[prost(int64, tag = "1")]
    pub id: i64,
    #[prost(string, tag = "2")]
    pub text: String,
}
