//! The order in which a tenant's rows are deleted: tables that refer to others first.

/// A foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) to: usize,
    pub(super) how: How,
}

/// How a foreign key stops the deletion of the rows that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Not at all: it deletes or changes the referring rows.
    Acts,
    /// Until the referring rows refer to nothing.
    CanBeNull,
    /// Until the referring rows are deleted.
    Stops,
}

/// A step of the deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Sets the foreign key of a table, by its place, to null.
    Null { table: usize, key: usize },
    /// Deletes rows of a table, in any order.
    Delete(usize),
    /// Deletes all rows of these tables in one statement, after which foreign keys are checked.
    Together(Vec<usize>),
}

/// Plans the deletion from tables, each with its foreign keys to tables by their places, itself included.
///
/// Where tables refer to each other in a circle, foreign keys that delete or change the referring rows are ignored
/// first, then those that can be null are set to null. What remains is deleted together.
pub(super) fn plan(references: &[Vec<Reference>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left: Vec<usize> = (0..references.len()).collect();
    let mut respected = vec![How::Acts, How::CanBeNull, How::Stops];
    while !left.is_empty() {
        let refers = |from: usize, to: usize| {
            references[from].iter().any(|key| key.to == to && respected.contains(&key.how))
        };
        let free = left.iter().position(|to| !left.iter().any(|from| refers(*from, *to)));
        match free {
            Some(place) => steps.push(Step::Delete(left.remove(place))),
            None if respected.len() > 1 => {
                if respected.remove(0) == How::CanBeNull {
                    steps.extend(nulls(references, &left));
                }
            }
            None => steps.push(Step::Together(std::mem::take(&mut left))),
        }
    }
    steps
}

/// Sets the foreign keys between these tables to null that can be.
fn nulls<'a>(
    references: &'a [Vec<Reference>],
    left: &'a [usize],
) -> impl Iterator<Item = Step> + 'a {
    left.iter().flat_map(move |table| {
        let keys = references[*table].iter().enumerate();
        let between = keys.filter(|(_, key)| key.how == How::CanBeNull && left.contains(&key.to));
        between.map(|(key, _)| Step::Null { table: *table, key })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(to: usize, how: How) -> Reference {
        Reference { to, how }
    }

    #[test]
    fn tables_that_refer_come_first() {
        let references = [vec![], vec![key(0, How::Stops)], vec![key(1, How::CanBeNull)]];
        let steps = [Step::Delete(2), Step::Delete(1), Step::Delete(0)];
        assert_eq!(plan(&references), steps);
        assert_eq!(plan(&[]), []);
    }

    #[test]
    fn a_table_that_refers_to_itself_is_nulled_or_deleted_at_once() {
        let nullable = [vec![key(0, How::CanBeNull)]];
        assert_eq!(plan(&nullable), [Step::Null { table: 0, key: 0 }, Step::Delete(0)]);
        let acts = [vec![key(0, How::Acts)]];
        assert_eq!(plan(&acts), [Step::Delete(0)]);
        let stops = [vec![key(0, How::Stops)]];
        assert_eq!(plan(&stops), [Step::Together(vec![0])]);
    }

    #[test]
    fn a_circle_is_broken_where_it_can_be() {
        let broken = [vec![key(1, How::Stops)], vec![key(0, How::CanBeNull)]];
        let steps = [Step::Null { table: 1, key: 0 }, Step::Delete(0), Step::Delete(1)];
        assert_eq!(plan(&broken), steps);
        let stops =
            vec![vec![key(1, How::Stops)], vec![key(0, How::Stops)], vec![key(0, How::Stops)]];
        assert_eq!(plan(&stops), [Step::Delete(2), Step::Together(vec![0, 1])]);
    }
}
