use std::sync::Arc;

use super::word::word;
use crate::{
    error::OptionsError,
    pool::{PoolOptions, Share},
    tenant::Ident,
};

/// A budget that several processes share, for
/// [`ManagerBuilder::budget_shared_by`](crate::ManagerBuilder::budget_shared_by).
///
/// # Examples
///
/// ```
/// use tenantry::{SharedBudget, TenantManager};
///
/// let manager = TenantManager::builder("postgres://app@localhost/saas")
///     .max_connections(100)
///     .budget_shared_by(SharedBudget::new("service").floor(3).processes(20));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is given to a builder"]
pub struct SharedBudget {
    name: String,
    floor: Option<usize>,
    processes: Option<usize>,
}

/// The longest name, in bytes.
const LONGEST_NAME: usize = 63;

impl SharedBudget {
    /// Sets the name. All processes that give the same name share one budget on each server: give
    /// each deployment its own. 1 to 63 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), floor: None, processes: None }
    }

    /// Sets the number of connections that each process keeps on each server, whatever others want.
    /// Default, and the least: one for tenants, the
    /// [reserve](PoolOptions::reserved_connections), which is at least 1, and the connection that
    /// listens for catalog changes if there is one: 2 or 3.
    pub fn floor(self, connections: usize) -> Self {
        Self { floor: Some(connections), ..self }
    }

    /// Sets the number of processes for which a floor is set aside and never lent. Default: as many
    /// as a quarter of the budget has floors for, and at least 1.
    ///
    /// Up to this number, a process that starts has its floor with its first beat. A further one
    /// waits until others have given back connections, which takes about a second, or as long as
    /// their longest transaction.
    ///
    /// On a [replica](crate::ManagerBuilder::replica), the budget is divided by this number, unless the replica has
    /// pool options of its own.
    pub fn processes(self, processes: usize) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// Returns the word at the end of the names of this process's sessions.
    pub(crate) fn word(&self, schema: &Ident) -> String {
        word(schema, &self.name)
    }

    /// Returns the options of a pool that shares its budget.
    pub(crate) fn adjust(&self, mut pool: PoolOptions) -> PoolOptions {
        // The connection that beats.
        pool.reserved_connections = Some(pool.reserve().max(1));
        pool
    }

    /// Checks the options for a pool of which so many connections are used elsewhere.
    pub(crate) fn of(&self, pool: &PoolOptions, outside: usize) -> Result<Share, OptionsError> {
        let is_plain = !self.name.contains(char::is_control);
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !is_plain {
            let must = "have a name of 1 to 63 bytes without control characters";
            return Err(OptionsError::new("budget_shared_by", must));
        }
        let least = 1 + pool.reserve() + outside;
        let floor = self.floor.unwrap_or(least);
        if floor < least {
            let must = format!(
                "be at least {least}: one connection for tenants, the reserve, and the one that \
                 listens for catalog changes, if there is one; it is {floor}"
            );
            return Err(OptionsError::new("budget_shared_by.floor", must));
        }
        let total = pool.max_connections;
        let processes = self.processes.unwrap_or((total / 4 / floor).max(1));
        if processes == 0 {
            return Err(OptionsError::new("budget_shared_by.processes", "be at least 1"));
        }
        let share = Share::new(Arc::from(&*self.name), floor, processes, total);
        share.check(total)?;
        Ok(share)
    }
}

impl From<&str> for SharedBudget {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for SharedBudget {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        budget: &SharedBudget,
        connections: usize,
        outside: usize,
    ) -> Result<(usize, usize), &'static str> {
        let pool = budget.adjust(PoolOptions::default().max_connections(connections));
        let share = budget.of(&pool, outside);
        share.map(|share| (share.floor, share.processes)).map_err(|error| error.option())
    }

    #[test]
    fn defaults_depend_on_the_budget() {
        let budget = SharedBudget::new("service");
        assert_eq!(of(&budget, 100, 0), Ok((2, 12)));
        assert_eq!(of(&budget, 100, 1), Ok((3, 8)));
        assert_eq!(of(&budget, 4, 0), Ok((2, 1)));
        assert_eq!(of(&budget.clone().floor(5), 100, 1), Ok((5, 5)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let budget = SharedBudget::new("service");
        assert_eq!(of(&budget, 2, 0), Err("max_connections"));
        assert_eq!(of(&budget.clone().processes(50), 100, 0), Err("max_connections"));
        assert_eq!(of(&budget.clone().processes(0), 100, 0), Err("budget_shared_by.processes"));
        assert_eq!(of(&budget.floor(2), 100, 1), Err("budget_shared_by.floor"));
        for name in ["", "a\nb", &"x".repeat(64)] {
            assert_eq!(of(&name.into(), 100, 0), Err("budget_shared_by"));
        }
    }
}
