//! The rows of a tenant go into a file, and come back as those of any tenant.

mod broken;
mod cancelled;
mod hostile;
mod large;
mod refused;
mod round_trip;

use sha2::{Digest, Sha256};
use tenantry::{
    Error, ErrorKind,
    rows::{ExportOptions, RestoreOptions, RestoreReport},
};

use super::{Login, Scene, listed, table};

impl Scene {
    /// Returns a file with the rows of a tenant.
    async fn export(&self, tenant: &str) -> Vec<u8> {
        let mut file = Vec::new();
        let provisioner = self.provisioner();
        let exported = provisioner.export_rows(tenant, &mut file, ExportOptions::default());
        let report = exported.await.unwrap_or_else(|error| panic!("{tenant}: {error:?}"));
        assert_eq!(report.bytes, file.len() as u64);
        file
    }

    async fn restore(
        &self,
        tenant: &str,
        file: &[u8],
        options: RestoreOptions,
    ) -> Result<RestoreReport, Error> {
        self.provisioner().restore_rows(tenant, file, options).await
    }

    /// Returns why a file is refused for a new tenant, which must not exist afterwards.
    async fn refusal(&mut self, file: &[u8], options: RestoreOptions) -> Error {
        let error = self.restore("copy", file, options).await;
        let error = error.expect_err("nothing can be made of the file");
        let unknown = self.manager.tenant("copy").await.expect_err("the restore was refused");
        assert_eq!(unknown.kind(), ErrorKind::UnknownTenant, "{error}");
        error
    }
}

fn plain() -> RestoreOptions {
    RestoreOptions::default()
}

fn beside() -> RestoreOptions {
    RestoreOptions::default().new_ids(true)
}

/// Puts a file together, with its own counts and hash.
fn forged(header: &str, tables: &[(&str, &str)]) -> Vec<u8> {
    let mut file = format!("tenantry rows 1\n{header}\n");
    let mut rows = 0;
    for (table, text) in tables {
        let count = text.matches('\n').count();
        rows += count;
        file.push_str(&format!("{text}\\.\n{{\"table\":\"{table}\",\"rows\":{count}}}\n"));
    }
    ended(file, tables.len(), rows)
}

/// Appends the last line.
fn ended(mut file: String, tables: usize, rows: usize) -> Vec<u8> {
    let hash = Sha256::digest(&file);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    file.push_str(&format!("{{\"tables\":{tables},\"rows\":{rows},\"sha256\":\"{hash}\"}}\n"));
    file.into_bytes()
}

/// Returns the header of a file with tables: their names, and their columns with types.
fn header(tables: &[(&str, &[(&str, &str)])]) -> String {
    let tables = tables.iter().map(|(name, columns)| {
        let columns = columns
            .iter()
            .map(|(name, of_type)| format!("{{\"name\":\"{name}\",\"type\":\"{of_type}\"}}"));
        let columns: Vec<_> = columns.collect();
        format!("{{\"name\":\"{name}\",\"columns\":[{}]}}", columns.join(","))
    });
    let tables: Vec<_> = tables.collect();
    format!(
        "{{\"tenantId\":\"acme\",\"key\":\"acme\",\"keyColumn\":\"tenant_id\",\"serverVersion\":\"17\",\
         \"seeds\":[],\"tables\":[{}]}}",
        tables.join(",")
    )
}

const USERS: (&str, &[(&str, &str)]) =
    ("users", &[("id", "integer"), ("name", "text"), ("boss", "integer")]);

/// A file with these users.
fn of_users(text: &str) -> Vec<u8> {
    forged(&header(&[USERS]), &[("users", text)])
}
