use crate::failure::Failure;

/// A run of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// The first time: connections are opened, caches filled. It does not count.
    WarmUp,
    /// A measured run, numbered from 0.
    Measured(u32),
}

/// Runs every contender once to warm up, then all of them in turn, round after round.
///
/// Returns the runs that count: first by contender, then by round.
pub(crate) async fn interleave<R>(
    scenario: &str,
    contenders: &[&str],
    rounds: u32,
    mut run: impl AsyncFnMut(usize, Round) -> Result<R, Failure>,
) -> Result<Vec<Vec<R>>, Failure> {
    let mut runs: Vec<Vec<R>> = contenders.iter().map(|_| Vec::new()).collect();
    for (index, contender) in contenders.iter().enumerate() {
        eprintln!("{scenario}: warming up {contender}");
        run(index, Round::WarmUp).await?;
    }
    for round in 0..rounds {
        for (index, contender) in contenders.iter().enumerate() {
            eprintln!("{scenario}: round {} of {rounds}, {contender}", round + 1);
            runs[index].push(run(index, Round::Measured(round)).await?);
        }
    }
    Ok(runs)
}
