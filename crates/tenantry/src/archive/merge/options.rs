use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use crate::{
    archive::{DiffReport, RowDiff, RowFound},
    clone::CloneOptions,
    rows::{RowsProgress, file::OnProgress},
    tenant::TenantId,
};

/// Options for a [merge](super::super::Archiver::merge), which select its rows.
///
/// Choices add up. Rows of a partition can be chosen by its name, and by that of a partitioned table that it is part
/// of.
///
/// # Examples
///
/// ```
/// use tenantry::archive::MergeOptions;
///
/// // Two rows of a table, and every row of another that differs.
/// let options = MergeOptions::default().rows("orders", [["17"], ["18"]]).tables(["settings"]);
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until an archiver gets them"]
pub struct MergeOptions {
    pub(super) everything: bool,
    pub(super) chosen: BTreeMap<String, Chosen>,
    /// The tenants of comparisons that rows are from.
    pub(super) compared: BTreeSet<[TenantId; 2]>,
    pub(super) delete: bool,
    pub(super) overwrite_changed: bool,
    pub(super) dry_run: bool,
    pub(super) keys: usize,
    pub(super) lock_timeout: Duration,
    pub(super) on_progress: Option<Arc<OnProgress>>,
}

/// What is chosen of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Chosen {
    /// All rows.
    pub(super) all: bool,
    /// Rows by their keys, with what a comparison has listed.
    pub(super) rows: BTreeMap<Vec<String>, Option<Listed>>,
}

/// What a comparison has listed about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) found: RowFound,
    pub(super) hash: String,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            everything: false,
            chosen: BTreeMap::new(),
            compared: BTreeSet::new(),
            delete: false,
            overwrite_changed: false,
            dry_run: false,
            keys: 20,
            lock_timeout: Duration::from_secs(5),
            on_progress: None,
        }
    }
}

impl MergeOptions {
    /// Merges every row that is missing or different, of all tables that have the same primary key in both tenants.
    /// Tables of migrations and seeds are left out.
    pub fn everything(mut self) -> Self {
        self.everything = true;
        self
    }

    /// Merges every row of these tables that is missing or different. A partitioned table stands for its partitions.
    pub fn tables<T: Into<String>>(mut self, tables: impl IntoIterator<Item = T>) -> Self {
        for table in tables {
            self.chosen.entry(table.into()).or_default().all = true;
        }
        self
    }

    /// Merges the rows of a table with these keys: for each the values of the primary key, as text, in the order of the
    /// key, as [`RowDiff::key`] has them. It is an error if neither tenant has such a row.
    pub fn rows<K, V>(mut self, table: impl Into<String>, keys: impl IntoIterator<Item = K>) -> Self
    where
        K: IntoIterator<Item = V>,
        V: Into<String>,
    {
        let chosen = self.chosen.entry(table.into()).or_default();
        for key in keys {
            chosen.rows.entry(key.into_iter().map(Into::into).collect()).or_default();
        }
        self
    }

    /// Merges rows of a table that a comparison of the same tenants, in the same order, has listed. A row that has changed
    /// since, in one tenant or the other, is [refused](Self::overwrite_changed).
    pub fn listed<'a>(
        mut self,
        table: impl Into<String>,
        rows: impl IntoIterator<Item = &'a RowDiff>,
    ) -> Self {
        let chosen = self.chosen.entry(table.into()).or_default();
        for row in rows {
            let listed = Listed { found: row.found, hash: row.hash.clone() };
            chosen.rows.insert(row.key.clone(), Some(listed));
        }
        self
    }

    /// Merges the rows that a comparison has [listed](Self::listed): all that it found, if its
    /// [`keys`](super::super::DiffOptions::keys) were enough for them. Its tenants must be those of the merge, in the same
    /// order.
    pub fn listed_in(mut self, diff: &DiffReport) -> Self {
        self.compared.insert([diff.first.clone(), diff.second.clone()]);
        for table in diff.tables.iter().filter(|table| !table.rows.is_empty()) {
            self = self.listed(&table.table, &table.rows);
        }
        self
    }

    /// Deletes chosen rows that only the target has. Default: `false`, they are left alone.
    pub fn delete(mut self, delete: bool) -> Self {
        self.delete = delete;
        self
    }

    /// Merges [listed](Self::listed) rows although they have changed since the comparison; the report names them.
    /// Default: `false`, the merge fails, and names them.
    pub fn overwrite_changed(mut self, overwrite: bool) -> Self {
        self.overwrite_changed = overwrite;
        self
    }

    /// Does everything, and rolls it back: the report shows what would be done. Default: `false`.
    ///
    /// Triggers and constraints run. Sequences from which triggers draw values stay ahead.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many rows of each table are listed with their keys. Default: 20. All rows are counted.
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Sets how long a statement may wait for a lock of a table or a row. Default: 5 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Calls a closure after each table, and about every megabyte of rows. A panic in it is caught.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&RowsProgress<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    pub(super) fn copying(&self) -> CloneOptions {
        CloneOptions::default().data(true).lock_timeout(self.lock_timeout)
    }
}

impl fmt::Debug for MergeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeOptions")
            .field("everything", &self.everything)
            .field("tables", &self.chosen.keys())
            .field("delete", &self.delete)
            .field("overwrite_changed", &self.overwrite_changed)
            .field("dry_run", &self.dry_run)
            .field("keys", &self.keys)
            .field("lock_timeout", &self.lock_timeout)
            .field("on_progress", &self.on_progress.is_some())
            .finish_non_exhaustive()
    }
}
