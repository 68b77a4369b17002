//! A part of a core: what a server may use of one, so that clients on one other core can ask for
//! several times what it can do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::CampaignError;

const ROOT: &str = "/sys/fs/cgroup";
/// The least that the kernel hands out at once, in µs; the period follows from the share.
const SLICE: u64 = 1000;

/// A group of its own. Removed when dropped, after its members have ended.
#[derive(Debug)]
pub struct Quota {
    path: PathBuf,
}

impl Quota {
    /// Makes one of a `part`-th of a core. Versions 1 and 2 of the controller are spoken.
    pub fn new(name: &str, part: u64) -> Result<Self, CampaignError> {
        let period = SLICE * part;
        let v1 = Path::new(ROOT).join("cpu");
        let first = v1.join("cpu.cfs_period_us").is_file();
        let parent = if first { v1 } else { PathBuf::from(ROOT) };
        let path = parent.join(format!("weir-{name}-{}", std::process::id()));
        fs::create_dir(&path).map_err(|source| unfit(&path, &source))?;
        let quota = Self { path };
        let files = if first {
            vec![("cpu.cfs_period_us", period.to_string()), ("cpu.cfs_quota_us", SLICE.to_string())]
        } else {
            vec![("cpu.max", format!("{SLICE} {period}"))]
        };
        for (file, value) in files {
            let file = quota.path.join(file);
            fs::write(&file, value).map_err(|source| unfit(&file, &source))?;
        }
        Ok(quota)
    }

    /// Where it is: for [`command`](super::group::command).
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn unfit(path: &Path, source: &io::Error) -> CampaignError {
    CampaignError::Unfit(format!(
        "cannot give the server a part of a core ({}: {source}): this campaign needs root and the \
         CPU controller",
        path.display()
    ))
}
