//! Random histories are alike exactly when their dumps are.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestRunner},
};
use tenantry::schema::{Difference, ObjectKind, compare};
use tenantry_devdb::DevServer;

use super::{
    cases::{Case, Expected},
    corpus,
    judge::{Judge, NEUTRAL},
    probe::{details, fingerprints},
    random::{Pair, Pool},
    repair,
};
use crate::support::{connect, run, server_version};

/// Pairs that share a database.
const BATCH: usize = 40;
/// How often a pair that is judged wrongly is made simpler.
const SIMPLIFICATIONS: usize = 200;

/// `TENANTRY_RANDOM_BATCHES` says how many batches there are, `TENANTRY_RANDOM_SEED` where to start.
#[tokio::test]
async fn random_histories_are_alike_exactly_when_their_dumps_are() {
    let (batches, seed) = (wanted("TENANTRY_RANDOM_BATCHES"), wanted("TENANTRY_RANDOM_SEED"));
    let ground = Ground::new().await;
    for seed in seed..seed + batches {
        ground.batch(seed).await;
    }
}

/// As many batches, from the same seed on, are repaired.
#[tokio::test]
async fn random_histories_are_repaired() {
    let (batches, seed) = (wanted("TENANTRY_RANDOM_BATCHES"), wanted("TENANTRY_RANDOM_SEED"));
    let ground = Ground::new().await;
    for seed in seed..seed + batches {
        ground.repair(seed).await;
    }
}

fn wanted(variable: &str) -> u64 {
    let wanted = std::env::var(variable).ok();
    wanted.map_or(1, |number| number.parse().expect("it is a number"))
}

/// What fails because both sides are in one database, in which there can be one such object, or because the server lacks
/// what labels need.
const NOT_HERE: &[&str] =
    &["could not make operator class", "would overlap partition", "is not loaded"];

/// What is said about a pair.
#[derive(Debug)]
struct Verdict {
    dumps: Vec<String>,
    found: Vec<Difference>,
    backwards: usize,
    has_equal_fingerprints: bool,
}

impl Verdict {
    fn is_right(&self) -> bool {
        let is_alike = self.dumps.is_empty();
        self.found.is_empty() == is_alike
            && self.dumps.iter().all(|entry| self.found.iter().any(|found| is_about(entry, found)))
            && self.found.iter().all(|found| self.dumps.iter().any(|entry| is_about(entry, found)))
            && self.has_equal_fingerprints == is_alike
            && self.backwards == self.found.len()
    }
}

/// Returns `true` if an entry of a dump and a difference are about the same table, function and so on.
fn is_about(entry: &str, Difference { object, .. }: &Difference) -> bool {
    let header = entry.lines().next().unwrap_or_default();
    match object.kind {
        ObjectKind::Schema => header.contains(NEUTRAL),
        ObjectKind::DefaultPrivileges => header.starts_with("DEFAULT ACL"),
        ObjectKind::SecurityLabel => header.starts_with("SECURITY LABEL"),
        _ => [Some(&object.name), object.of.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| holds(header, name)),
    }
}

/// Returns `true` if the text holds the name, and not as part of a longer one.
fn holds(text: &str, name: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) =
            (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        let joins_before = is_word(before) && is_word(name.chars().next());
        let joins_after = is_word(after) && is_word(name.chars().next_back());
        !joins_before && !joins_after
    })
}

struct Ground {
    server: DevServer,
    pool: Pool,
}

impl Ground {
    async fn new() -> Self {
        let server = corpus::server().await;
        let url = corpus::setting(&server, "setting").await;
        let mut admin = connect(&url).await;
        let mut cases = Case::all(server_version(&mut admin).await);
        cases.retain(|case| case.expected != Expected::Beyond);
        Self { server, pool: Pool::of(&cases) }
    }

    async fn batch(&self, seed: u64) {
        let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
        let mut runner = TestRunner::new(config);
        let tree = |_| self.pool.pair().new_tree(&mut runner).expect("nothing is refused");
        let mut trees: Vec<_> = (0..BATCH).map(tree).collect();
        let pairs: Vec<Pair> = trees.iter().map(ValueTree::current).collect();
        let Some(verdicts) = self.judge(&pairs).await else { return };
        let alike = verdicts.iter().filter(|verdict| verdict.dumps.is_empty()).count();
        eprintln!("seed {seed}: {alike} of {BATCH} are alike");
        for (tree, verdict) in trees.iter_mut().zip(verdicts) {
            if !verdict.is_right() {
                self.simplify(tree, seed, verdict).await;
            }
        }
    }

    /// Looks for the simplest pair that is judged wrongly, and fails with it.
    async fn simplify(&self, tree: &mut impl ValueTree<Value = Pair>, seed: u64, first: Verdict) {
        let judge = async |pair: &Pair| {
            let verdicts = self.judge(std::slice::from_ref(pair)).await.unwrap_or_default();
            verdicts.into_iter().find(|verdict| !verdict.is_right())
        };
        let (pair, verdict) = simplest(tree, first, judge).await;
        panic!("seed {seed}: {pair:#?}\n{verdict:#?}");
    }

    async fn repair(&self, seed: u64) {
        let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
        let mut runner = TestRunner::new(config);
        let tree = |_| self.pool.pair().new_tree(&mut runner).expect("nothing is refused");
        let mut trees: Vec<_> = (0..BATCH).map(tree).collect();
        let pairs: Vec<Pair> = trees.iter().map(ValueTree::current).collect();
        let problems = self.repaired(&pairs).await;
        let count = problems.iter().filter(|problem| problem.is_none()).count();
        eprintln!("seed {seed}: {count} of {BATCH} are repaired");
        for (tree, problem) in trees.iter_mut().zip(problems) {
            let Some(problem) = problem else { continue };
            let repair =
                async |pair: &Pair| self.repaired(std::slice::from_ref(pair)).await.remove(0);
            let (pair, problem) = simplest(tree, problem, repair).await;
            panic!("seed {seed}: {pair:#?}\n{problem}");
        }
    }

    /// What is wrong with each pair when its right side was made like its left.
    async fn repaired(&self, pairs: &[Pair]) -> Vec<Option<String>> {
        let (url, lefts, rights) = self.build(pairs).await;
        let mut admin = connect(&url).await;
        let names = lefts.iter().zip(&rights);
        let sides: Vec<_> =
            names.map(|(left, right)| repair::Pair::new("random", left, right)).collect();
        let outcomes = repair::mend(&mut admin, &sides).await;
        drop(admin);
        let dumps = match Judge::of(&url).await {
            None => Vec::new(),
            Some(judge) => {
                let lefts: Vec<&str> = lefts.iter().map(String::as_str).collect();
                let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
                let lefts = judge.dump(&lefts).await;
                lefts.into_iter().zip(judge.dump(&rights).await).collect()
            }
        };
        let mut problems = Vec::new();
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let differences = match (&outcome, dumps.get(at)) {
                (Ok(Some(_)), Some((left, right))) => left.differences(right),
                _ => Vec::new(),
            };
            problems.push(match outcome {
                Err(problem) if NOT_HERE.iter().any(|one| problem.contains(one)) => None,
                Err(problem) => Some(problem),
                Ok(_) if differences.is_empty() => None,
                Ok(_) => Some(format!("dumps differ: {differences:?}")),
            });
        }
        problems
    }
}

/// Makes a pair simpler as long as it stays wrong.
async fn simplest<V>(
    tree: &mut impl ValueTree<Value = Pair>,
    first: V,
    judge: impl AsyncFn(&Pair) -> Option<V>,
) -> (Pair, V) {
    let mut worst = (tree.current(), first);
    let mut goes_on = tree.simplify();
    for _ in 0..SIMPLIFICATIONS {
        if !goes_on {
            break;
        }
        let pair = tree.current();
        goes_on = match judge(&pair).await {
            Some(verdict) => {
                worst = (pair, verdict);
                tree.simplify()
            }
            None => tree.complicate(),
        };
    }
    worst
}

impl Ground {
    /// A database with the schemas of all pairs, and their names.
    async fn build(&self, pairs: &[Pair]) -> (String, Vec<String>, Vec<String>) {
        let mut postgres = connect(&self.server.url()).await;
        run(&mut postgres, "drop database if exists random with (force)").await;
        run(&mut postgres, "create database random template setting").await;
        let url = self.server.database_url("random");
        let names = |side| (0..pairs.len()).map(|at| format!("{side}_{at}")).collect::<Vec<_>>();
        let (lefts, rights) = (names("left"), names("right"));
        let mut admin = connect(&url).await;
        for ((pair, left), right) in pairs.iter().zip(&lefts).zip(&rights) {
            pair.build(&mut admin, left, right).await;
        }
        (url, lefts, rights)
    }

    /// What is said about each pair, `None` without `pg_dump`.
    async fn judge(&self, pairs: &[Pair]) -> Option<Vec<Verdict>> {
        let (url, lefts, rights) = self.build(pairs).await;
        let mut admin = connect(&url).await;
        let mut sides = Vec::new();
        for names in [&lefts, &rights] {
            let names: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
            let models = details(&mut admin, &names).await;
            sides.push((models, fingerprints(&mut admin, &names).await));
        }
        drop(admin);
        let judge = Judge::of(&url).await?;
        let lefts: Vec<&str> = lefts.iter().map(String::as_str).collect();
        let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
        let (lefts, rights) = (judge.dump(&lefts).await, judge.dump(&rights).await);
        let verdict = |at: usize| {
            let (left, right) = (&sides[0].0[at], &sides[1].0[at]);
            Verdict {
                dumps: lefts[at].differences(&rights[at]),
                found: compare(left, right),
                backwards: compare(right, left).len(),
                has_equal_fingerprints: sides[0].1[at] == sides[1].1[at],
            }
        };
        Some((0..pairs.len()).map(verdict).collect())
    }
}
