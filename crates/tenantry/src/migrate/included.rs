use std::{borrow::Cow, sync::Arc};

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType},
};

use super::{Migrations, MigrationsError};

impl Migrations {
    /// Creates migrations from names and texts, such as those from `include_str!`.
    ///
    /// Equivalent to `sqlx::migrate!` with [`embedded`](Self::embedded), for a list that you maintain yourself.
    /// sqlx's macros compile sqlx a second time for the build host; a program that uses none of them builds faster.
    /// Checksums are the same either way.
    ///
    /// # Errors
    ///
    /// [`Name`](MigrationsError::Name) if a name is not `<version>_<description>.sql`, or `.up.sql` and `.down.sql`
    /// for reversible migrations; [`SameVersion`](MigrationsError::SameVersion) and [`Empty`](MigrationsError::Empty)
    /// as for [`from_dir`](Self::from_dir).
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::migrate::Migrations;
    ///
    /// # fn example() -> Result<(), tenantry::migrate::MigrationsError> {
    /// let tenants = Migrations::from_files([
    ///     // include_str!("../migrations/0001_notes.sql")
    ///     ("0001_notes.sql", "create table notes (text text not null)"),
    ///     ("0002_author.up.sql", "alter table notes add author text"),
    ///     ("0002_author.down.sql", "alter table notes drop author"),
    /// ])?;
    /// assert_eq!(tenants.files().len(), 2);
    /// # Ok(()) }
    /// # example().unwrap();
    /// ```
    pub fn from_files(
        files: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Result<Self, MigrationsError> {
        let files = files.into_iter().map(|(name, text)| {
            let migration = read(name, text);
            migration.map(|migration| (migration, name.to_owned())).ok_or_else(|| {
                let file = Arc::from(name);
                MigrationsError::Name { file }
            })
        });
        Self::new(files.collect::<Result<_, _>>()?, None)
    }
}

/// Parses a file name like sqlx does.
fn read(name: &str, text: &'static str) -> Option<Migration> {
    let (version, rest) = name.split_once('_').filter(|(_, rest)| rest.ends_with(".sql"))?;
    let version = version.parse().ok()?;
    let kind = MigrationType::from_filename(rest);
    let description = rest.trim_end_matches(kind.suffix()).replace('_', " ");
    let no_transaction = text.starts_with("-- no-transaction");
    let (description, sql) = (Cow::Owned(description), SqlStr::from_static(text));
    Some(Migration::new(version, description, kind, sql, no_transaction))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::{Migrations, MigrationsError};

    const FILES: [(&str, &str); 4] = [
        ("0002_an_index.sql", "-- no-transaction\ncreate index concurrently i on notes (text)"),
        ("0001_notes.sql", "create table notes (text text)"),
        ("0003_author.up.sql", "alter table notes add author text"),
        ("0003_author.down.sql", "alter table notes drop author"),
    ];

    #[test]
    fn files_are_those_of_a_folder() {
        let folder = env::temp_dir().join(format!("tenantry-included-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in FILES {
            fs::write(folder.join(name), text).unwrap();
        }
        let read = Migrations::from_dir(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let included = Migrations::from_files(FILES).unwrap();
        assert_eq!(included.hash(), read.hash());
        for (one, other) in included.files().iter().zip(read.files()) {
            assert_eq!((one.name(), one.description()), (other.name(), other.description()));
            assert_eq!(one.is_transactional(), other.is_transactional());
            assert_eq!(one.is_reversible(), other.is_reversible());
        }
    }

    #[test]
    fn a_name_without_a_version_is_an_error() {
        for name in ["notes.sql", "x_notes.sql", "0001_notes.txt", "", "0001.sql"] {
            let error = Migrations::from_files([(name, "select 1")]).unwrap_err();
            assert!(matches!(&error, MigrationsError::Name { file } if &**file == name), "{error}");
        }
    }
}
