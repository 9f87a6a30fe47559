//! Which rows of a tenant can be copied to another key, and in which order.

use super::{
    order::{How, Reference, Step, plan},
    tables::{Column, ForeignKey, Table, UniqueKey},
};

/// A table whose rows are copied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copies<'a> {
    pub(super) table: &'a str,
    /// The columns that keep their values; the others get new ones from their defaults.
    pub(super) columns: Vec<&'a str>,
    /// The oids of tables that inherit from it, and whose rows belong to another table.
    pub(super) elsewhere: &'a [i64],
}

/// Returns the tables with what is copied of each, in an order in which foreign keys are valid.
///
/// # Errors
///
/// The reason why a copy would refer to rows of the other tenant, or have values that are taken.
pub(super) fn copies<'a>(tables: &'a [Table], key: &str) -> Result<Vec<Copies<'a>>, String> {
    let new = new_columns(tables, key)?;
    let mut copies = Vec::new();
    for place in parents_first(tables)? {
        let table = &tables[place];
        let kept = |column: &&Column| !column.is_key && !new[place].contains(&column.name.as_str());
        let columns = table.columns.iter().filter(kept).map(|column| column.name.as_str());
        let elsewhere = &table.elsewhere;
        copies.push(Copies { table: &table.name, columns: columns.collect(), elsewhere });
    }
    Ok(copies)
}

/// Returns the columns of each table that get new values in a copy.
///
/// # Errors
///
/// As [`copies`].
pub(super) fn new_columns<'a>(tables: &'a [Table], key: &str) -> Result<Vec<Vec<&'a str>>, String> {
    for table in tables {
        if let Some(reference) = table.foreign_keys.iter().find(|reference| !reference.is_keyed) {
            return Err(refers_to_others(table, reference, key));
        }
    }
    tables.iter().map(|table| new_values(tables, table, key)).collect()
}

/// Returns the columns that need new values, because they are unique among all tenants.
fn new_values<'a>(tables: &[Table], table: &'a Table, key: &str) -> Result<Vec<&'a str>, String> {
    let mut new = Vec::new();
    for unique in table.unique_keys.iter().filter(|unique| !unique.is_keyed) {
        let column = unique.only_column.as_deref();
        let drawn = table.columns.iter().find(|of| of.is_drawn && Some(&*of.name) == column);
        match drawn.filter(|column| !is_referred_to(tables, table, &column.name)) {
            Some(column) => new.push(column.name.as_str()),
            None => return Err(taken(table, unique, key)),
        }
    }
    Ok(new)
}

/// Returns `true` if a foreign key leads to a column.
fn is_referred_to(tables: &[Table], table: &Table, column: &str) -> bool {
    let keys = tables.iter().flat_map(|from| &from.foreign_keys);
    let mut to_it = keys.filter(|reference| reference.leads_to(table));
    to_it.any(|reference| reference.columns.iter().any(|(_, theirs)| theirs == column))
}

/// Returns the places of the tables, each after those that it refers to.
fn parents_first(tables: &[Table]) -> Result<Vec<usize>, String> {
    let mut places = Vec::new();
    for together in in_order(tables) {
        let [place] = *together else {
            let names: Vec<_> = together.iter().map(|place| &*tables[*place].name).collect();
            return Err(format!(
                "the tables {} refer to each other in a circle, so no order of copying them is valid: copy their rows \
                 with your own statements",
                names.join(", ")
            ));
        };
        places.push(place);
    }
    Ok(places)
}

/// Returns the places of the tables, each after those that it refers to, and together those that refer to each other
/// in a circle.
pub(super) fn in_order(tables: &[Table]) -> Vec<Vec<usize>> {
    let references = tables.iter().enumerate().map(|(place, table)| {
        let to = table.foreign_keys.iter().filter_map(|reference| reference.target(tables));
        // Rows of one table are inserted together.
        let others = to.filter(|to| *to != place);
        others.map(|to| Reference { to, how: How::Stops }).collect()
    });
    let steps = plan(&references.collect::<Vec<_>>()).into_iter().rev();
    let places = steps.filter_map(|step| match step {
        Step::Delete(place) => Some(vec![place]),
        Step::Together(circle) => Some(circle),
        Step::Null { .. } => None,
    });
    places.collect()
}

fn refers_to_others(table: &Table, reference: &ForeignKey, key: &str) -> String {
    format!(
        "the foreign key {} of table {} does not contain {key}, so copied rows would refer to those of the source: \
         add the column to it first",
        reference.name, table.name
    )
}

fn taken(table: &Table, unique: &UniqueKey, key: &str) -> String {
    format!(
        "the unique key {} of table {} does not contain {key}, so the source has the values of a copy already: add \
         the column to it first",
        unique.name, table.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: i64, name: &str, columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            is_key: *name == "tenant_id",
            is_drawn: *name == "number",
            is_required: true,
            is_fixed: false,
            of_type: "text".to_owned(),
        };
        let columns = columns.iter().map(column).collect();
        Table { columns, ..Table::new(oid, name.to_owned()) }
    }

    fn unique(name: &str, column: Option<&str>, is_keyed: bool) -> UniqueKey {
        UniqueKey { name: name.into(), only_column: column.map(Into::into), is_keyed }
    }

    #[test]
    fn parents_come_first_and_ids_are_kept_where_they_can_be() {
        let mut users = table(1, "users", &["tenant_id", "id", "boss"]);
        users.foreign_keys = vec![ForeignKey::keyed("boss", 1, "id")];
        users.unique_keys = vec![unique("users_pkey", None, true)];
        let mut notes = table(2, "notes", &["tenant_id", "number", "user_id"]);
        notes.foreign_keys = vec![ForeignKey::keyed("user_id", 1, "id")];
        notes.unique_keys = vec![unique("notes_pkey", Some("number"), false)];
        let tables = [notes, users];
        let expected = [
            Copies { table: "users", columns: vec!["id", "boss"], elsewhere: &[] },
            Copies { table: "notes", columns: vec!["user_id"], elsewhere: &[] },
        ];
        assert_eq!(copies(&tables, "tenant_id").unwrap(), expected);
    }

    #[test]
    fn values_that_are_taken_and_references_to_the_source_are_refused() {
        let refused = |tables: &[Table]| copies(tables, "tenant_id").unwrap_err();
        let mut users = table(1, "users", &["tenant_id", "number", "email"]);
        users.unique_keys = vec![unique("by_email", Some("email"), false)];
        assert!(refused(&[users]).contains("unique key by_email of table users"));
        // A new value would leave the references behind.
        let mut users = table(1, "users", &["tenant_id", "number"]);
        users.unique_keys = vec![unique("users_pkey", Some("number"), false)];
        let mut notes = table(2, "notes", &["tenant_id", "user_id"]);
        notes.foreign_keys = vec![ForeignKey::keyed("user_id", 1, "number")];
        assert!(refused(&[users, notes]).contains("unique key users_pkey"));
        let mut notes = table(2, "notes", &["tenant_id", "user_id"]);
        notes.foreign_keys =
            vec![ForeignKey { is_keyed: false, ..ForeignKey::keyed("user_id", 2, "id") }];
        assert!(refused(&[notes]).contains("foreign key user_id of table notes"));
        let (mut one, mut other) = (table(1, "one", &[]), table(2, "other", &[]));
        one.foreign_keys = vec![ForeignKey::keyed("other", 2, "id")];
        other.foreign_keys = vec![ForeignKey::keyed("one", 1, "id")];
        assert!(refused(&[one, other]).contains("the tables one, other refer to each other"));
    }
}
