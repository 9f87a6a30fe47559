//! Which table of those with rows of tenants a row belongs to, if tables inherit from others (pure).
//!
//! A query of a table also returns the rows of tables that inherit from it. Each row has to be counted, exported,
//! copied and deleted once: with the table that it is in if that has the tenant column in this schema, and otherwise with
//! the nearest one that it inherits from.

use std::collections::BTreeMap;

/// A table, and one that it inherits from, by their oids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inherits {
    pub(super) child: i64,
    pub(super) parent: i64,
}

/// Returns for each table the tables below it whose rows belong to another one of them.
pub(super) fn elsewhere(tables: &[i64], pairs: &[Inherits]) -> Vec<Vec<i64>> {
    let mut parents: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for Inherits { child, parent } in pairs {
        parents.entry(*child).or_default().push(*parent);
    }
    let mut elsewhere = vec![Vec::new(); tables.len()];
    for child in parents.keys() {
        let owner = ancestors(*child, &parents).into_iter().find(|table| tables.contains(table));
        for above in ancestors(*child, &parents).into_iter().filter(|above| above != child) {
            if let Some(place) = tables.iter().position(|table| *table == above)
                && Some(above) != owner
            {
                elsewhere[place].push(*child);
            }
        }
    }
    elsewhere
}

/// Returns a table and those that it inherits from, nearest first.
fn ancestors(table: i64, parents: &BTreeMap<i64, Vec<i64>>) -> Vec<i64> {
    let (mut found, mut next) = (vec![table], 0);
    while let Some(of) = found.get(next) {
        let above = parents.get(of).into_iter().flatten();
        let new: Vec<_> = above.filter(|parent| !found.contains(parent)).copied().collect();
        found.extend(new);
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tables: &[i64], pairs: &[(i64, i64)]) -> Vec<Vec<i64>> {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(child, parent)| Inherits { child: *child, parent: *parent })
            .collect();
        elsewhere(tables, &pairs)
    }

    #[test]
    fn each_row_belongs_to_one_table() {
        let none = Vec::<i64>::new();
        // A parent and its child.
        assert_eq!(found(&[1, 2], &[(2, 1)]), [vec![2], none.clone()]);
        // The child is in another schema, or the parent has no tenant column.
        assert!(found(&[1], &[(2, 1)])[0].is_empty());
        assert!(found(&[2], &[])[0].is_empty());
        // A grandchild belongs to its own table, and otherwise to the child.
        assert_eq!(found(&[1, 2, 3], &[(2, 1), (3, 2)]), [vec![2, 3], vec![3], none.clone()]);
        assert_eq!(found(&[1, 2], &[(2, 1), (3, 2)]), [vec![2, 3], none.clone()]);
        assert_eq!(found(&[1, 3], &[(2, 1), (3, 2)]), [vec![3], none.clone()]);
        // A table elsewhere with two parents belongs to one of them.
        assert_eq!(found(&[1, 2], &[(3, 1), (3, 2)]), [none.clone(), vec![3]]);
        assert_eq!(found(&[1, 2], &[(2, 1), (3, 1), (3, 2)]), [vec![2], vec![3]]);
    }
}
