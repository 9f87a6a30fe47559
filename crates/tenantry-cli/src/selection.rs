//! Selects the tenants of a command.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use clap::Args;
use tenantry::migrate::Schemas;

use crate::failure::Failure;

/// Tenants, as the command line names them.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub(crate) struct Selection {
    /// All tenants of the catalog
    #[arg(long, short, conflicts_with_all = ["tenant", "tenants"])]
    pub(crate) all: bool,
    /// One tenant; can be repeated
    #[arg(long, short, value_name = "ID")]
    pub(crate) tenant: Vec<String>,
    /// Several tenants: `a,b,c`, `@FILE` with one id per line, or `-` for standard input
    #[arg(long, value_name = "IDS|@FILE|-")]
    pub(crate) tenants: Option<String>,
}

impl Selection {
    /// Returns the ids that were named; `None` means all tenants.
    ///
    /// # Errors
    ///
    /// If a list cannot be read or is empty: an empty list does not mean all tenants.
    pub(crate) fn ids(&self) -> Result<Option<Vec<String>>, Failure> {
        let mut ids = self.tenant.clone();
        if let Some(list) = &self.tenants {
            let listed = read_list(list)?;
            if listed.is_empty() {
                return Err(Failure::new(format!("--tenants {list} selects no tenant"))
                    .hint("list at least one id, or use --all for every tenant"));
            }
            ids.extend(listed);
        }
        Ok((!ids.is_empty()).then_some(ids))
    }

    pub(crate) fn is_given(&self) -> bool {
        self.all || !self.tenant.is_empty() || self.tenants.is_some()
    }

    /// Returns the schemas of the tenants that were named, or of all.
    pub(crate) fn schemas(&self) -> Result<Schemas, Failure> {
        Ok(self.ids()?.map_or(Schemas::AllTenants, Schemas::tenants))
    }

    /// Like [`schemas`](Self::schemas), for commands that change something: all tenants must be requested explicitly.
    pub(crate) fn schemas_to_change(&self) -> Result<Schemas, Failure> {
        if self.is_given() {
            return self.schemas();
        }
        Err(Failure::new("no tenant is selected")
            .hint("select one with --tenant ID, or all with --all"))
    }
}

fn read_list(list: &str) -> Result<Vec<String>, Failure> {
    let text = if list == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|error| {
            Failure::while_doing("reading tenant ids from standard input", &error)
        })?;
        text
    } else if let Some(path) = list.strip_prefix('@') {
        let path = PathBuf::from(path);
        fs::read_to_string(&path).map_err(|error| {
            Failure::while_doing(format_args!("reading tenant ids from {}", path.display()), &error)
        })?
    } else {
        list.replace(',', "\n")
    };
    Ok(ids_of(&text))
}

/// Reads an id from each line. Empty lines and comments that begin with `#` are passed over.
fn ids_of(text: &str) -> Vec<String> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(list: &str) -> Selection {
        Selection { tenants: Some(list.to_owned()), ..Selection::default() }
    }

    #[test]
    fn lists_are_read_from_arguments_and_files() {
        assert_eq!(list("a, b,,c").ids().ok().flatten().unwrap(), ["a", "b", "c"]);
        let path = std::env::temp_dir().join(format!("tenantry-ids-{}", std::process::id()));
        fs::write(&path, "\u{feff}a\r\n# b\n\n  c  ").unwrap();
        let from_file = list(&format!("@{}", path.display()));
        assert_eq!(from_file.ids().ok().flatten().unwrap(), ["a", "c"]);
        fs::write(&path, "\n# nobody\n").unwrap();
        let error = from_file.ids().unwrap_err().to_string();
        assert!(error.contains("selects no tenant"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(from_file.ids().unwrap_err().to_string().contains("reading tenant ids"));
    }

    #[test]
    fn nothing_is_changed_in_all_tenants_unless_that_is_said() {
        assert!(Selection::default().schemas_to_change().is_err());
        assert_eq!(Selection::default().schemas().ok(), Some(Schemas::AllTenants));
        let all = Selection { all: true, ..Selection::default() };
        assert_eq!(all.schemas_to_change().ok(), Some(Schemas::AllTenants));
    }
}
