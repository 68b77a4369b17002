//! How the program of a campaign begins and ends.

use std::{future::Future, process::ExitCode};

use super::{
    error::CampaignError,
    network::{self, Network},
};

/// Runs a campaign in a network of its own where that is possible, which it is told, on so many
/// threads; 0 is the main thread alone. The program succeeds when all bars hold, fails with 1
/// when one does not, and with 2 where there are no figures.
pub fn run<F>(name: &str, threads: usize, campaign: impl FnOnce(Network) -> F) -> ExitCode
where
    F: Future<Output = Result<bool, CampaignError>>,
{
    let network = network::enter();
    println!("{network:?}");
    let runtime = match threads {
        0 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
        }
    };
    let outcome = runtime.map_err(CampaignError::from);
    ended(name, outcome.and_then(|runtime| runtime.block_on(campaign(network))))
}

/// How the program ends where this host lacks what the campaign needs: not well, since nothing
/// was shown, and not badly either. Automake's number for it.
pub const SKIPPED: u8 = 77;

/// Says that nothing was measured, and why.
pub fn skipped(name: &str, why: &str) -> ExitCode {
    println!("{name}: skipped, no figure was made: {why}");
    ExitCode::from(SKIPPED)
}

/// What the program says at its end.
pub fn ended(name: &str, outcome: Result<bool, CampaignError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {}", error.chain());
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_figures_is_not_a_bar_that_does_not_hold() {
        let check = |outcome, expected: ExitCode| {
            assert_eq!(format!("{:?}", ended("x", outcome)), format!("{expected:?}"));
        };
        check(Ok(true), ExitCode::SUCCESS);
        check(Ok(false), ExitCode::FAILURE);
        check(Err(CampaignError::Unfit("no".into())), ExitCode::from(2));
    }
}
