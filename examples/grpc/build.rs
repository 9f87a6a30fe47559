//! Makes the trait of the server and the client. It needs no `protoc`: the messages are those of `src/api.rs`.
//!
//! With `protoc` at hand, `tonic_prost_build::compile_protos("proto/notes.proto")` makes both.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name, route, input| {
        let method = Method::builder().name(name).route_name(route).input_type(input);
        method.output_type("crate::api::Note").codec_path("tonic_prost::ProstCodec")
    };
    let notes = Service::builder()
        .package("notes.v1")
        .name("Notes")
        .method(method("add", "Add", "crate::api::NewNote").build())
        .method(method("list", "List", "crate::api::ListNotes").server_streaming().build())
        .build();
    Builder::new().compile(&[notes]);
}
