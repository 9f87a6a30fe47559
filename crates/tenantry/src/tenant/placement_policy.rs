use std::{collections::BTreeSet, fmt, sync::Arc};

use super::TenantRecord;

/// Chooses the server of each new tenant, for
/// [`ManagerBuilder::placement`](crate::ManagerBuilder::placement).
///
/// It is asked when a tenant is created and neither
/// [`CreateOptions::server`](crate::provision::CreateOptions::server) nor the catalog names a server. Servers that are
/// [draining](crate::ServerOptions::draining) are no candidates.
///
/// # Examples
///
/// ```
/// use tenantry::{PlacementPolicy, ServerOptions, TableCatalog, TenantManager};
///
/// let manager = TenantManager::builder("postgres://app@db-main/saas")
///     .catalog(TableCatalog::new())
///     .server("eu-1", "postgres://app@db-eu-1/saas")
///     .server("eu-2", ServerOptions::new("postgres://app@db-eu-2/saas").weight(2.0))
///     .placement(PlacementPolicy::least_loaded().except("main"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a policy does nothing until it is given to a builder"]
pub struct PlacementPolicy {
    rule: Rule,
    except: BTreeSet<String>,
}

#[derive(Clone)]
enum Rule {
    Main,
    LeastLoaded,
    ByWeight,
    With(Arc<Choose>),
}

type Choose = dyn Fn(&TenantRecord, &[ServerLoad]) -> String + Send + Sync;

/// A server that can get a new tenant, as a [`PlacementPolicy`] sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerLoad {
    /// Its name; `main` is the manager's own server.
    pub name: Arc<str>,
    /// Its [weight](crate::ServerOptions::weight); 1 for the manager's own server.
    pub weight: f64,
    /// The number of tenants that the catalog lists for it, suspended ones included.
    pub tenants: usize,
}

/// Why there is no server for a new tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoServer {
    /// There are no candidates.
    AllDrain,
    /// A closure has returned this name, which is not a candidate's.
    NoCandidate(String),
}

impl PlacementPolicy {
    /// Places every new tenant on the manager's own server. The default.
    pub fn main() -> Self {
        Self::of(Rule::Main)
    }

    /// Chooses the server with the fewest tenants relative to its [weight](crate::ServerOptions::weight).
    ///
    /// The tenants are counted by listing the catalog page by page: at most every 10 s per process, and for at most a
    /// twentieth of the time if the catalog is large. Tenants that this process creates meanwhile are added. Other
    /// processes count separately, so the numbers can differ by what they create in that time.
    pub fn least_loaded() -> Self {
        Self::of(Rule::LeastLoaded)
    }

    /// Chooses at random, a server of weight 2 twice as often as one of weight 1. It does not read the catalog.
    pub fn by_weight() -> Self {
        Self::of(Rule::ByWeight)
    }

    /// Chooses by a closure, which gets the tenant's record as it will be created, with its attributes, and the
    /// candidates, at least one. It returns the name of one of them; any other name is an error.
    ///
    /// The tenants are counted as for [`least_loaded`](Self::least_loaded).
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::PlacementPolicy;
    ///
    /// let by_region = PlacementPolicy::with(|record, servers| {
    ///     let region = record.attributes["region"].as_str().unwrap_or("eu");
    ///     let nearest = servers.iter().find(|server| server.name.starts_with(region));
    ///     nearest.unwrap_or(&servers[0]).name.to_string()
    /// });
    /// ```
    pub fn with<N: Into<String>>(
        choose: impl Fn(&TenantRecord, &[ServerLoad]) -> N + Send + Sync + 'static,
    ) -> Self {
        Self::of(Rule::With(Arc::new(move |record, servers| choose(record, servers).into())))
    }

    /// Excludes a server by its name, such as `main`, which keeps new tenants off the manager's own server. Can be
    /// called several times. A name that is not configured is refused by
    /// [`build`](crate::ManagerBuilder::build).
    pub fn except(mut self, server: impl Into<String>) -> Self {
        self.except.insert(server.into());
        self
    }

    fn of(rule: Rule) -> Self {
        Self { rule, except: BTreeSet::new() }
    }

    /// Returns the names of the excluded servers.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = &str> {
        self.except.iter().map(String::as_str)
    }

    /// Returns `true` if a server is excluded.
    pub(crate) fn excludes(&self, server: &str) -> bool {
        self.except.contains(server)
    }

    /// Returns `true` if every tenant is placed on the manager's own server, and there is nothing to choose.
    pub(crate) fn is_always_main(&self) -> bool {
        matches!(self.rule, Rule::Main) && self.except.is_empty()
    }

    /// Returns `true` if it uses the numbers of tenants.
    pub(crate) fn counts_tenants(&self) -> bool {
        matches!(self.rule, Rule::LeastLoaded | Rule::With(_))
    }

    /// Chooses one of the candidates; the main server is the first of them, if it is one. `draw` is a random number
    /// from 0 to 1, exclusive.
    pub(crate) fn choose(
        &self,
        record: &TenantRecord,
        candidates: &[ServerLoad],
        draw: f64,
    ) -> Result<Arc<str>, NoServer> {
        let Some(first) = candidates.first() else { return Err(NoServer::AllDrain) };
        let chosen = match &self.rule {
            Rule::Main => first,
            Rule::LeastLoaded => least_loaded(first, candidates),
            Rule::ByWeight => by_weight(first, candidates, draw),
            Rule::With(choose) => {
                let name = choose(record, candidates);
                let chosen = candidates.iter().find(|candidate| *candidate.name == *name);
                chosen.ok_or(NoServer::NoCandidate(name))?
            }
        };
        Ok(Arc::clone(&chosen.name))
    }
}

impl Default for PlacementPolicy {
    fn default() -> Self {
        Self::main()
    }
}

impl ServerLoad {
    pub(crate) fn new(name: Arc<str>, weight: f64, tenants: usize) -> Self {
        Self { name, weight, tenants }
    }

    /// Returns the tenants per weight that it would have with one more.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 tenants")]
    fn with_one_more(&self) -> f64 {
        (self.tenants + 1) as f64 / self.weight
    }
}

fn least_loaded<'a>(first: &'a ServerLoad, candidates: &'a [ServerLoad]) -> &'a ServerLoad {
    let less = |least: &'a ServerLoad, other: &'a ServerLoad| {
        if other.with_one_more() < least.with_one_more() { other } else { least }
    };
    candidates.iter().fold(first, less)
}

fn by_weight<'a>(first: &'a ServerLoad, candidates: &'a [ServerLoad], draw: f64) -> &'a ServerLoad {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut left = draw * total;
    for candidate in candidates {
        left -= candidate.weight;
        if left < 0.0 {
            return candidate;
        }
    }
    // Rounding can leave a remainder.
    candidates.last().unwrap_or(first)
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "Main",
            Self::LeastLoaded => "LeastLoaded",
            Self::ByWeight => "ByWeight",
            Self::With(_) => "With(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantId;

    fn load(name: &str, weight: f64, tenants: usize) -> ServerLoad {
        ServerLoad::new(name.into(), weight, tenants)
    }

    fn record() -> TenantRecord {
        TenantRecord::new(TenantId::parse("acme").expect("an id"))
    }

    fn chosen(policy: &PlacementPolicy, candidates: &[ServerLoad], draw: f64) -> String {
        policy.choose(&record(), candidates, draw).expect("there is one").to_string()
    }

    #[test]
    fn least_loaded_counts_tenants_by_weight() {
        let policy = PlacementPolicy::least_loaded();
        let name = |main, eu| chosen(&policy, &[load("main", 1.0, main), load("eu", 3.0, eu)], 0.0);
        assert_eq!(name(0, 0), "eu");
        assert_eq!(name(0, 2), "main", "equal loads go to the first");
        assert_eq!(name(1, 2), "eu");
        assert_eq!(name(10, 33), "main");
    }

    #[test]
    fn weights_are_shares() {
        let policy = PlacementPolicy::by_weight();
        let servers = [load("a", 1.0, 9), load("b", 3.0, 0)];
        let drawn = |draw| chosen(&policy, &servers, draw);
        assert_eq!([0.0, 0.24, 0.26, 0.999].map(drawn), ["a", "a", "b", "b"]);
        assert_eq!(chosen(&policy, &servers, 1.0), "b", "rounding never leaves none");
    }

    #[test]
    fn a_closure_names_a_candidate() {
        let last = PlacementPolicy::with(|record, servers| {
            assert_eq!(record.id.as_str(), "acme");
            servers.last().map_or_else(String::new, |server| server.name.to_string())
        });
        assert_eq!(chosen(&last, &[load("main", 1.0, 0), load("eu", 1.0, 0)], 0.0), "eu");
        let mars = PlacementPolicy::with(|_, _| "mars");
        let refused = mars.choose(&record(), &[load("main", 1.0, 0)], 0.0);
        assert_eq!(refused, Err(NoServer::NoCandidate("mars".to_owned())));
    }

    #[test]
    fn without_candidates_there_is_no_server() {
        for policy in [PlacementPolicy::main(), PlacementPolicy::by_weight()] {
            assert_eq!(policy.choose(&record(), &[], 0.5), Err(NoServer::AllDrain));
        }
        assert!(PlacementPolicy::main().is_always_main());
        assert!(!PlacementPolicy::main().except("main").is_always_main());
    }
}
