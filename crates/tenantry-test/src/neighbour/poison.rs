//! Values that occur nowhere else.

use std::hash::{BuildHasher, RandomState};

use crate::{TestTenant, kit};

/// Rows in each table.
const ROWS: i32 = 3;

/// Numbers of ten digits, which fit a 32-bit integer.
const BASE: i64 = 1_900_000_000;

/// The values of one neighbour.
#[derive(Debug)]
pub(crate) struct Poison {
    mark: String,
    base: i64,
    /// The texts that reveal it wherever it appears.
    texts: Vec<String>,
}

impl Poison {
    pub(crate) fn new() -> Self {
        let number = RandomState::new().hash_one(());
        let tag = format!("{:08x}", number >> 32);
        let mark = format!("poison-{tag}");
        let base = BASE + i64::from(number as u16) * 1_000;
        let in_hexadecimal = mark.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut texts = vec![mark.clone(), in_hexadecimal, format!("{tag}-dead-4ead-8ead")];
        texts.extend((1..=i64::from(ROWS)).map(|row| (base + row).to_string()));
        Self { mark, base, texts }
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Returns the texts of which every poisoned value contains one.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Fills the tables of a tenant. Returns each table with the error if it could not be filled.
    pub(crate) async fn fill(
        &self,
        tenant: &TestTenant,
    ) -> sqlx::Result<Vec<(String, Option<String>)>> {
        // In the tenant's own session: its triggers resolve names along the search path.
        kit::poison(&tenant.db, tenant.schema(), &self.mark, self.base, ROWS).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_neighbours_have_nothing_in_common() {
        let (one, two) = (Poison::new(), Poison::new());
        assert!(!one.texts().iter().any(|text| two.texts().contains(text)));
        assert!(one.base + i64::from(ROWS) <= i64::from(i32::MAX));
        assert_eq!(one.texts().len(), 6);
    }
}
