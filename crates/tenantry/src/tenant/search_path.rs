use std::ops::Deref;

use super::Ident;

/// The schemas in which unqualified names are looked up, in this order.
///
/// Most tenants have one schema. It takes no memory of its own, because there is a search path for every known tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SearchPath {
    One(Ident),
    Some(Box<[Ident]>),
}

impl Default for SearchPath {
    fn default() -> Self {
        Self::Some(Box::default())
    }
}

impl FromIterator<Ident> for SearchPath {
    fn from_iter<T: IntoIterator<Item = Ident>>(schemas: T) -> Self {
        let mut schemas: Vec<_> = schemas.into_iter().collect();
        match schemas.pop() {
            Some(only) if schemas.is_empty() => Self::One(only),
            last => Self::Some(schemas.into_iter().chain(last).collect()),
        }
    }
}

impl Deref for SearchPath {
    type Target = [Ident];

    fn deref(&self) -> &[Ident] {
        match self {
            Self::One(schema) => std::slice::from_ref(schema),
            Self::Some(schemas) => schemas,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_keep_their_order_and_equal_paths_are_equal() {
        for names in [&[][..], &["a"], &["a", "b"], &["b", "a", "c"]] {
            let schemas: Vec<_> = names.iter().map(|name| Ident::parse(name).unwrap()).collect();
            let path: SearchPath = schemas.iter().cloned().collect();
            assert_eq!(*path, *schemas);
            assert_eq!(path, schemas.into_iter().collect());
        }
        assert_eq!(SearchPath::default(), [].into_iter().collect());
    }
}
