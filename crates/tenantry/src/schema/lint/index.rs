//! The parts of an index, parsed from its definition.

/// An index, as `pg_get_indexdef` prints it from `USING` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index<'a> {
    pub(crate) method: &'a str,
    /// The columns and expressions, with their operator classes and order.
    pub(crate) elements: Vec<&'a str>,
    /// The included columns, with the parentheses.
    pub(crate) include: Option<&'a str>,
    pub(crate) nulls_not_distinct: bool,
    /// The condition of a partial index.
    pub(crate) predicate: Option<&'a str>,
}

impl<'a> Index<'a> {
    pub(crate) fn parse(definition: &'a str) -> Option<Self> {
        let rest = definition.strip_prefix("USING ")?;
        let (method, rest) = rest.split_once(' ')?;
        Self::parse_elements(method, rest)
    }

    /// Parses the part after the method, which has the same form in a `UNIQUE` constraint.
    pub(crate) fn parse_elements(method: &'a str, text: &'a str) -> Option<Self> {
        let (elements, mut rest) = parentheses(text)?;
        let mut index = Self {
            method,
            elements: elements_of(elements),
            include: None,
            nulls_not_distinct: false,
            predicate: None,
        };
        if let Some((include, after)) = rest.strip_prefix(" INCLUDE ").and_then(parentheses) {
            (index.include, rest) = (Some(include), after);
        }
        if let Some(after) = rest.strip_prefix(" NULLS NOT DISTINCT") {
            (index.nulls_not_distinct, rest) = (true, after);
        }
        if let Some((_, after)) = rest.strip_prefix(" WITH ").and_then(parentheses) {
            rest = after;
        }
        let condition = outside(rest, |rest, _| rest.starts_with(" WHERE "));
        index.predicate = condition.map(|at| &rest[at + " WHERE ".len()..]);
        Some(index)
    }

    /// Returns the columns that lead the index; an expression ends them.
    pub(super) fn leading_columns(&self) -> Vec<String> {
        self.elements.iter().map_while(|element| column_of(element)).collect()
    }
}

/// Returns the column of an element, if it is one and no expression.
pub(crate) fn column_of(element: &str) -> Option<String> {
    if let Some(quoted) = element.strip_prefix('"') {
        let (mut name, mut characters) = (String::new(), quoted.chars().peekable());
        while let Some(character) = characters.next() {
            if character == '"' && characters.next_if_eq(&'"').is_none() {
                // A function in quotes is called.
                let is_column = characters.next().is_none_or(|next| next == ' ');
                return is_column.then_some(name);
            }
            name.push(character);
        }
        return None;
    }
    let end = element.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    let (name, after) = element.split_at(end.unwrap_or(element.len()));
    (!name.is_empty() && (after.is_empty() || after.starts_with(' '))).then(|| name.to_owned())
}

/// Returns the content of the parentheses that start here, and the rest.
fn parentheses(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let end = outside(inner, |rest, depth| rest.starts_with(')') && depth == 0)?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Splits a list at its commas.
fn elements_of(mut list: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    while let Some(at) = outside(list, |rest, depth| rest.starts_with(',') && depth == 0) {
        elements.push(list[..at].trim());
        list = &list[at + 1..];
    }
    elements.push(list.trim());
    elements
}

/// Finds a position outside quoted names and strings, by the text that follows and the number of open parentheses
/// before it.
fn outside(text: &str, is_it: impl Fn(&str, usize) -> bool) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0_usize);
    text.char_indices().find_map(|(at, character)| {
        let found = is_it(&text[at..], depth);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => return None,
            (None, _) if found => return Some(at),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_lead_an_index() {
        for (definition, columns) in [
            ("USING btree (a)", &["a"][..]),
            ("USING btree (a, b DESC NULLS LAST)", &["a", "b"]),
            ("USING btree (a text_pattern_ops, b COLLATE \"C\")", &["a", "b"]),
            ("USING btree (\"Odd, \"\"name)\", b)", &["Odd, \"name)", "b"]),
            ("USING btree (lower(a), b)", &[]),
            ("USING btree (a, ((b + 1)), c)", &["a"]),
            ("USING btree (\"F\"(a), b)", &[]),
            ("USING btree (a, COALESCE(b, ')'::text))", &["a"]),
            ("USING gin (a other.ops (x='1'), b)", &["a", "b"]),
            ("USING btree (a) INCLUDE (b)", &["a"]),
        ] {
            let index = Index::parse(definition).expect("it is an index");
            assert_eq!(index.leading_columns(), columns, "{definition}");
        }
        assert_eq!(Index::parse("PRIMARY KEY (a)"), None);
    }

    #[test]
    fn what_follows_the_columns_is_known() {
        let text = "USING btree (a) INCLUDE (b, c) NULLS NOT DISTINCT WITH (fillfactor='70') TABLESPACE \" WHERE \" WHERE (a > 0)";
        let index = Index::parse(text).expect("it is an index");
        assert_eq!(index.include, Some("b, c"));
        assert!(index.nulls_not_distinct);
        assert_eq!(index.predicate, Some("(a > 0)"));
        assert_eq!(Index::parse("USING btree (a)").expect("an index").predicate, None);
    }
}
