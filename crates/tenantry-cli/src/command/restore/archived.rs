use tenantry::Ident;

use crate::{failure::Failure, postgres::Archive};

/// Returns the one schema that a dump of a tenant makes.
pub(super) fn schema(archive: &Archive, shared: &str) -> Result<Ident, Failure> {
    let path = archive.path.display();
    match archive.schemas.as_slice() {
        [schema] if schema == shared => {
            Err(Failure::new(format!("{path} is a dump of the shared schema {schema}")))
        }
        [schema] => Ident::parse(schema)
            .map_err(|error| Failure::while_doing(format_args!("{path}: its schema"), &error)),
        [] => Err(Failure::new(format!("{path} creates no schema"))
            .hint("dump the whole schema of a tenant, as `tenantry dump` does")),
        several => Err(Failure::new(format!("{path} creates {} schemas", several.len()))
            .hint("dump the schema of one tenant, as `tenantry dump` does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_of_one_tenant() {
        let told = |schemas: &[&str]| {
            let archive = Archive {
                path: "a.dump".into(),
                server_version: "17.2".into(),
                server_major: 17,
                schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
            };
            schema(&archive, "public").map_err(|failure| failure.to_string())
        };
        assert_eq!(told(&["Odd \"x"]).unwrap().as_str(), "Odd \"x");
        assert!(told(&["public"]).unwrap_err().contains("shared schema"));
        assert!(told(&[]).unwrap_err().contains("creates no schema"));
        assert!(told(&["a", "b"]).unwrap_err().contains("creates 2 schemas"));
    }
}
