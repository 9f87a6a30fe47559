use std::sync::Arc;

use crate::tenant::{Ident, IdentError};

/// A table that holds the rows of all tenants, for [`RowTables`](super::RowTables).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RowTable {
    pub(super) name: Ident,
    /// The columns of the primary key, without the tenant column.
    pub(super) primary_key: Vec<Ident>,
    pub(super) unique: Vec<Vec<Ident>>,
    pub(super) indexes: Vec<Vec<Ident>>,
    pub(super) references: Vec<Reference>,
    pub(super) fill: Fill,
}

/// A foreign key to the column `id` of another of these tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) column: Ident,
    pub(super) parent: Ident,
}

/// What the tenant column of existing rows is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fill {
    /// The column exists and is filled.
    Done,
    Key(Arc<str>),
    /// The column of the row that the first reference leads to.
    Parent,
}

impl RowTable {
    /// Describes a table whose primary key is the column `id`.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is not a valid identifier.
    pub fn new(name: &str) -> Result<Self, IdentError> {
        Ok(Self {
            name: Ident::parse(name)?,
            primary_key: vec![Ident::parse("id")?],
            unique: Vec::new(),
            indexes: Vec::new(),
            references: Vec::new(),
            fill: Fill::Done,
        })
    }

    /// Sets the columns of the primary key, without the tenant column. Default: `id`.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when a name is not a valid identifier.
    pub fn primary_key<'a>(
        self,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IdentError> {
        Ok(Self { primary_key: idents(columns)?, ..self })
    }

    /// Adds a unique key, without the tenant column: a value is then unique within a tenant, and an
    /// error no longer tells that another tenant has it.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when a name is not a valid identifier.
    pub fn unique<'a>(
        mut self,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IdentError> {
        self.unique.push(idents(columns)?);
        Ok(self)
    }

    /// Adds an index on these columns, after the tenant column.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when a name is not a valid identifier.
    pub fn index<'a>(
        mut self,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IdentError> {
        self.indexes.push(idents(columns)?);
        Ok(self)
    }

    /// Adds a foreign key from a column to the column `id` of another of these tables, with an index.
    /// Both tenant columns become part of it, so a row cannot refer to another tenant's.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when a name is not a valid identifier.
    pub fn references(mut self, column: &str, parent: &str) -> Result<Self, IdentError> {
        let (column, parent) = (Ident::parse(column)?, Ident::parse(parent)?);
        self.references.push(Reference { column, parent });
        Ok(self)
    }

    /// Fills the tenant column of existing rows with this key, because they all belong to one
    /// tenant. Default: the column exists and is filled.
    pub fn filled_with(self, key: &str) -> Self {
        Self { fill: Fill::Key(key.into()), ..self }
    }

    /// Fills the tenant column of existing rows from the rows that the first
    /// [reference](Self::references) leads to. Without a reference, it is like the default.
    pub fn filled_from_parent(self) -> Self {
        Self { fill: Fill::Parent, ..self }
    }

    /// Returns the columns of its indexes that are not unique, without the tenant column: those that
    /// were asked for, and one for each foreign key that no other index begins with. Without it, a
    /// deleted row of the other table would scan this one.
    pub(super) fn plain_indexes(&self) -> impl Iterator<Item = &[Ident]> {
        let keys = || std::iter::once(&self.primary_key).chain(&self.unique).chain(&self.indexes);
        let lacking =
            self.references.iter().map(|reference| std::slice::from_ref(&reference.column));
        let lacking = lacking.filter(move |columns| !keys().any(|key| key.starts_with(columns)));
        self.indexes.iter().map(Vec::as_slice).chain(lacking)
    }

    /// Returns the name of a constraint or an index as PostgreSQL gives it.
    pub(super) fn part(&self, columns: &[Ident], ending: &str) -> Ident {
        let columns = columns.iter().map(Ident::as_str);
        let words: Vec<_> =
            std::iter::once(self.name.as_str()).chain(columns).chain([ending]).collect();
        short(&words.join("_"))
    }
}

fn idents<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Ident>, IdentError> {
    names.into_iter().map(Ident::parse).collect()
}

/// Returns a name that is short enough, with a number of its own if it was cut.
fn short(name: &str) -> Ident {
    Ident::parse(name).unwrap_or_else(|_| {
        let hash = name
            .bytes()
            .fold(5_381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
        let end = name.floor_char_boundary(50);
        Ident::parse(&format!("{}_{hash:08x}", &name[..end])).expect("it is short, and not empty")
    })
}
