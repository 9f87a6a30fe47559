//! Reads an archive, and checks it.

use std::{
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::{
    Manifest,
    folder::failed,
    manifest::{MANIFEST, fingerprint, sums},
};
use crate::{
    clone::{FileReader, Packed, PackedFile, check_file, name_of_rows, refused_archive as refused},
    error::Error,
    hashed::hexadecimal,
    plain::clipped,
    schema::SchemaModel,
};

/// The file with the model of the schema.
pub(super) const MODEL: &str = "schema.json";

/// The file with the statements that create the schema.
pub(super) const STATEMENTS: &str = "schema.sql";

/// The file with the hashes of the others.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The largest manifest or model that is read, in bytes: they are held in memory.
const MOST: u64 = 256 * 1024 * 1024;

/// An archive whose manifest was read.
pub(super) struct Opened {
    folder: PathBuf,
    pub(super) manifest: Manifest,
}

impl Opened {
    pub(super) async fn open(folder: &Path) -> Result<Self, Error> {
        let text = read(folder, MANIFEST).await?;
        // The format comes first: a newer one can have other files.
        let manifest = Manifest::parse(&text).map_err(refused)?;
        let listed = read(folder, SUMS).await?;
        let sha256 = hexadecimal(Sha256::new().chain_update(&text));
        let expected = sums(&manifest, &sha256);
        if listed != expected.as_bytes() {
            let own = format!("{sha256}  {MANIFEST}\n");
            let why = match listed.starts_with(own.as_bytes()) {
                true => format!("its {SUMS} is damaged: it does not list the files of {MANIFEST}"),
                false => {
                    format!("its {MANIFEST} or {SUMS} is damaged: they do not agree on its SHA-256")
                }
            };
            return Err(refused(why));
        }
        let places = manifest.tables.iter().enumerate();
        let named = places.map(|(place, table)| (&table.file, name_of_rows(place)));
        let named = named.chain([
            (&manifest.model, MODEL.to_owned()),
            (&manifest.statements, STATEMENTS.to_owned()),
        ]);
        for (file, name) in named {
            if file.name != name {
                let found = clipped(&file.name, 80);
                return Err(refused(format!(
                    "it is damaged: it lists {found} in the place of {name}"
                )));
            }
        }
        Ok(Self { folder: folder.to_owned(), manifest })
    }

    /// Checks that all files are as they were written: first that none is missing or cut off.
    pub(super) async fn check(&self) -> Result<(), Error> {
        for file in self.manifest.files() {
            check_size(&self.folder, file).await?;
        }
        for file in self.manifest.files() {
            check_file(&self.folder, file).await?;
        }
        Ok(())
    }

    /// Returns what a schema is created from.
    pub(super) async fn packed(&self) -> Result<Packed, Error> {
        let Manifest { model, tables, sequences, .. } = &self.manifest;
        if model.bytes > MOST {
            return Err(refused(format!("its {MODEL} is larger than {MOST} bytes")));
        }
        let mut file = FileReader::open(&self.folder, model).await?;
        let mut text = Vec::new();
        while let Some(piece) = file.next().await? {
            text.extend_from_slice(piece);
        }
        let damaged = |error: serde_json::Error| {
            refused(format!("its {MODEL} is damaged: {}", clipped(&error.to_string(), 200)))
        };
        let model: SchemaModel = serde_json::from_slice(&text).map_err(damaged)?;
        if fingerprint(&model).map_err(damaged)? != self.manifest.fingerprint {
            return Err(refused(format!(
                "its {MODEL} has not the fingerprint that {MANIFEST} has"
            )));
        }
        Ok(Packed {
            model,
            folder: self.folder.clone(),
            tables: tables.clone(),
            sequences: sequences.clone(),
        })
    }
}

async fn check_size(folder: &Path, of: &PackedFile) -> Result<(), Error> {
    let path = folder.join(&of.name);
    match tokio::fs::metadata(&path).await {
        Ok(found) if found.len() == of.bytes => Ok(()),
        Ok(found) => Err(refused(format!(
            "its file {} is damaged: it has {} bytes, and had {}",
            of.name,
            found.len(),
            of.bytes
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(refused(format!("its file {} is missing", of.name)))
        }
        Err(error) => Err(failed("reading the file", &path, error)),
    }
}

/// Reads a file as a whole.
async fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let path = folder.join(name);
    let file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = format!(
                "{} has no {name}: it is not an archive, or not all of it is there",
                folder.display()
            );
            return Err(refused(why));
        }
        Err(error) => return Err(failed("reading the file", &path, error)),
    };
    let mut text = Vec::new();
    let read = file.take(MOST + 1).read_to_end(&mut text).await;
    let read = read.map_err(|error| failed("reading the file", &path, error))?;
    match read as u64 > MOST {
        true => Err(refused(format!("its {name} is larger than {MOST} bytes"))),
        false => Ok(text),
    }
}
