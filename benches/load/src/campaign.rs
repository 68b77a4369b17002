//! What the campaigns share: a place to run in, the edge under test, and where figures go.
//!
//! A campaign starts the real `weir-edge` from the directory that holds its own binary, with
//! a configuration it writes, and leaves nothing behind.

pub mod admin;
pub mod ats;
pub mod careless;
pub mod cells;
pub mod cpu;
pub mod crowd;
pub mod device;
pub mod edge;
mod error;
pub mod fault;
pub mod figures;
pub mod gate;
pub mod good;
pub mod group;
pub mod light;
pub mod loops;
pub mod memory;
pub mod naive;
pub mod network;
pub mod nginx;
pub mod process;
pub mod program;
pub mod quota;
pub mod rated;
pub mod segments;
pub mod suite;
pub mod viewer;
pub mod world;

use std::path::{Path, PathBuf};

use clap::Parser;

pub use edge::{Edge, Settings};
pub use error::CampaignError;
pub use figures::Figures;

/// Options of every campaign.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// A short form for CI: fewer trials, nothing written to the scorecard.
    #[arg(long, alias = "short")]
    pub quick: bool,
    /// Write nothing to the scorecard.
    #[arg(long)]
    pub no_record: bool,
    /// Leave configuration and logs in this directory.
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Seeds everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A directory for one run; removed at the end unless it shall be kept.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    // Removes the directory when dropped.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// Makes it.
    pub fn new(options: &Options) -> Result<Self, CampaignError> {
        let file = |source| CampaignError::File { path: "a directory for the run".into(), source };
        if let Some(path) = &options.keep {
            std::fs::create_dir_all(path).map_err(file)?;
            let path = path.canonicalize().map_err(file)?;
            // What an earlier run cached is not this run's.
            for part in ["edge", "nginx", "ats"] {
                let old = path.join(part);
                if old.exists() {
                    std::fs::remove_dir_all(old).map_err(file)?;
                }
            }
            return Ok(Self { path, _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("weir-bench-").tempdir().map_err(file)?;
        Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The program `name` beside the running one.
pub fn sibling(name: &str) -> Result<PathBuf, CampaignError> {
    let here = std::env::current_exe();
    let path = here.ok().and_then(|here| Some(here.parent()?.join(name)));
    path.filter(|path| path.is_file()).ok_or_else(|| CampaignError::NotBuilt(name.to_owned()))
}
