//! Rules, resolved for the columns of a schema.

use std::collections::BTreeMap;

use super::{WrongRule, WrongRules, leaf::Leaf, masker::Masker, shape::Shape};

/// The masks of all tables.
#[derive(Debug, Clone)]
pub(crate) struct MaskPlan {
    pub(super) tables: BTreeMap<String, TablePlan>,
}

/// The masks of a table or partition.
#[derive(Debug, Clone)]
pub(crate) struct TablePlan {
    pub(super) name: String,
    /// The columns that are copied: all but generated ones.
    pub(super) columns: Vec<ColumnPlan>,
    pub(super) primary_key: Vec<String>,
    /// The generated columns with their expressions.
    pub(super) generated: Vec<(String, String)>,
}

/// The mask of a column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnPlan {
    pub(super) name: String,
    pub(super) select: Select,
    pub(super) masker: Masker,
    /// The number of the rule that wins, from 1.
    pub(super) rule: Option<usize>,
    /// The name of that rule's mask.
    pub(super) mask: String,
    /// The number of the column among all.
    pub(super) origin: u32,
    pub(super) data_type: String,
    pub(super) shape: Shape,
    pub(super) is_not_null: bool,
    /// A sequence fills it.
    pub(super) is_numbered: bool,
}

/// What to read from the source for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Select {
    /// Its values.
    Column,
    /// An expression over the row, with what the rules state about its values.
    Sql { expression: String, is_unique: bool },
    /// Its values, shuffled among the rows of the table.
    Shuffle,
}

impl MaskPlan {
    /// Refuses masks of a column that each table has, and that the copy gets from elsewhere.
    ///
    /// # Errors
    ///
    /// The rules that mask it.
    pub(crate) fn refuse_masks_of_key(&self, key: &str) -> Result<(), WrongRules> {
        let masked = self.tables().filter_map(|table| {
            let column = table.column(key).filter(|column| column.is_masked())?;
            Some(WrongRule {
                rule: column.rule(),
                column: Some(format!("{}.{key}", table.name)),
                message: "the column has the key of the clone, which comes from the catalog: keep it, in a rule before \
                          this one"
                    .to_owned(),
            })
        });
        let mut masked: Vec<_> = masked.collect();
        masked.sort();
        match masked.is_empty() {
            true => Ok(()),
            false => Err(WrongRules(masked)),
        }
    }

    /// Returns the masks of a table or partition.
    pub(crate) fn table(&self, name: &str) -> Option<&TablePlan> {
        self.tables.get(name)
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &TablePlan> {
        self.tables.values()
    }

    /// Returns `true` if words are invented for any column.
    pub(crate) fn invents(&self) -> bool {
        let mut columns = self.tables().flat_map(TablePlan::columns);
        columns.any(|column| column.masker.leaves().into_iter().any(Leaf::invents))
    }

    /// Returns the table and column that a number of collected values belongs to.
    pub(crate) fn origin(&self, number: u32) -> Option<(&str, &str)> {
        self.tables.values().find_map(|table| {
            let column = table.columns.iter().find(|column| column.origin == number)?;
            Some((&*table.name, &*column.name))
        })
    }
}

impl TablePlan {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the columns that are copied, in their order in the table.
    pub(crate) fn columns(&self) -> &[ColumnPlan] {
        &self.columns
    }

    pub(crate) fn column(&self, name: &str) -> Option<&ColumnPlan> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the expression of a generated column.
    pub(super) fn generated(&self, name: &str) -> Option<&str> {
        let generated = self.generated.iter().find(|(column, _)| column == name);
        generated.map(|(_, expression)| &**expression)
    }

    pub(crate) fn primary_key(&self) -> &[String] {
        &self.primary_key
    }

    /// Returns `true` if rows pass through a [`RowMasker`](super::RowMasker), or if a column is not read directly.
    pub(crate) fn is_masked(&self) -> bool {
        self.columns.iter().any(ColumnPlan::is_masked)
    }
}

impl ColumnPlan {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn select(&self) -> &Select {
        &self.select
    }

    pub(super) fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Returns the number of the rule that wins, from 1.
    pub(crate) fn rule(&self) -> Option<usize> {
        self.rule
    }

    pub(crate) fn origin(&self) -> u32 {
        self.origin
    }

    pub(crate) fn is_masked(&self) -> bool {
        self.select != Select::Column || !self.masker.is_keep()
    }

    /// Returns `true` if the clone can be searched for the column's source values. It cannot if the client never sees
    /// them (SQL expressions), or if one row's mask can be another row's value (shifts, noise, shuffling).
    pub(crate) fn is_provable(&self) -> bool {
        self.select == Select::Column && self.masker.leaves().into_iter().all(Leaf::is_provable)
    }
}
