//! A client: `grpc add URL TENANT TEXT` and `grpc list URL TENANT`.

use example_support::say;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::api::{ListNotes, NewNote, notes_client::NotesClient};

const USAGE: &str = "cargo run -p grpc [-- add URL TENANT TEXT | list URL TENANT]";

pub(crate) async fn run(arguments: &[&str]) -> anyhow::Result<()> {
    match *arguments {
        ["add", url, tenant, text] => {
            let new = of_tenant(NewNote { text: text.to_owned() }, tenant)?;
            let note = connect(url).await?.add(new).await?.into_inner();
            say(format!("added note {}: {}", note.id, note.text));
        }
        ["list", url, tenant] => {
            let list = of_tenant(ListNotes {}, tenant)?;
            let mut notes = connect(url).await?.list(list).await?.into_inner();
            while let Some(note) = notes.message().await? {
                say(format!("{}: {}", note.id, note.text));
            }
        }
        _ => anyhow::bail!("usage: {USAGE}"),
    }
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<NotesClient<Channel>> {
    Ok(NotesClient::new(Endpoint::new(url.to_owned())?.connect().await?))
}

/// Metadata are headers: the tenant is sent as over HTTP.
fn of_tenant<T>(message: T, tenant: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-tenant-id", MetadataValue::<Ascii>::try_from(tenant)?);
    Ok(request)
}
