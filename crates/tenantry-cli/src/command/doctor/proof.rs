use clap::Args;
use tenantry::proof::{IsolationProof, ProofOptions};

use crate::{
    command::Ended,
    context::Context,
    exit::Exit,
    output::{Annotation, Format},
};

/// Arguments of the proof of isolation.
#[derive(Debug, Args)]
pub(super) struct Proof {
    /// Attack the isolation of tenants through the configured connection, in scratch schemas that are removed, and
    /// print each attack with its outcome
    #[arg(long, conflicts_with_all = ["only", "skip", "severity", "instances", "list", "fix", "demo"])]
    pub(super) prove_isolation: bool,
    /// Attacks to run, by name [default: all]
    #[arg(long, value_name = "ATTACKS", value_delimiter = ',', requires = "prove_isolation")]
    attacks: Vec<String>,
    /// How often to repeat attacks that depend on timing
    #[arg(long, default_value_t = 100, requires = "prove_isolation")]
    rounds: u32,
    /// Random seed, to reproduce a proof
    #[arg(long, requires = "prove_isolation")]
    seed: Option<u64>,
}

impl Proof {
    pub(super) async fn run(self, on: &Context, format: Format) -> Ended {
        let options = ProofOptions::default().rounds(self.rounds).only(self.attacks);
        let options = self.seed.into_iter().fold(options, ProofOptions::seed);
        let manager = on.manager()?;
        let progress = on.output.progress("proof");
        progress.say("attacking the isolation of scratch tenants");
        let not_done = "the proof did not finish; the scratch schemas are removed";
        let proof = on.interruptible(not_done, manager.prove_isolation(options)).await?;
        drop(progress);
        match format {
            Format::Github => on.output.annotate(&annotations(&proof))?,
            Format::Text => on.output.report(&proof, || proof.to_string())?,
        }
        Ok(exit_of(&proof))
    }
}

/// A leak is a problem, and so is a proof in which no attack held. An attack that was not run is a warning.
fn exit_of(proof: &IsolationProof) -> Exit {
    if proof.leaked > 0 || proof.held == 0 || !proof.scratch_removed {
        Exit::Problems
    } else if proof.isolated {
        Exit::Fine
    } else {
        Exit::Warnings
    }
}

fn annotations(proof: &IsolationProof) -> Vec<Annotation> {
    let told = proof.attacks.iter().filter_map(|attack| {
        let text = format!("{}\n{}", attack.what, attack.observed);
        match attack.outcome.as_str() {
            "leaked" => Some(Annotation::error(format!("leaked: {}", attack.title), text)),
            "notRun" => Some(Annotation::warning(format!("not run: {}", attack.title), text)),
            _ => None,
        }
    });
    let summary =
        format!("{} held, {} leaked, {} not run", proof.held, proof.leaked, proof.not_run);
    told.chain([Annotation::notice("proof of isolation".to_owned(), summary)]).collect()
}
