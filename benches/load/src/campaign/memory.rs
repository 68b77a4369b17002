//! What memory a process has, as the kernel counts it.

use std::{fs, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::error::CampaignError;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// One look at a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// The most that was ever resident (`VmHWM`).
    pub peak: u64,
    /// Resident now.
    pub now: u64,
    /// Of that, what belongs to no file.
    pub anonymous: u64,
}

impl Resident {
    /// Of a process that runs.
    pub fn of(pid: u32) -> Result<Self, CampaignError> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path)
            .map_err(|source| CampaignError::File { path: path.into(), source })?;
        Self::parse(&text)
            .ok_or_else(|| CampaignError::Unfit(format!("/proc/{pid}/status is not as expected")))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kib << 10)
        };
        Some(Self { peak: field("VmHWM:")?, now: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

/// Looks at a process again and again, and keeps the look at which it had most.
#[derive(Debug)]
pub struct Watch {
    most: Arc<Mutex<Resident>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins.
    pub fn over(pid: u32) -> Self {
        let most = Arc::<Mutex<Resident>>::default();
        let kept = Arc::clone(&most);
        let task = tokio::spawn(async move {
            while let Ok(look) = Resident::of(pid) {
                keep(&kept, look);
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { most, task }
    }

    /// Ends; the look at which it had most.
    pub fn end(self) -> Resident {
        self.task.abort();
        *self.most.lock()
    }
}

fn keep(most: &Mutex<Resident>, look: Resident) {
    let mut most = most.lock();
    if look.now > most.now {
        *most = look;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kibibytes() {
        let text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t  1024 kB\nRssAnon:\t 1000 kB\n";
        let expected = Resident { peak: 2 << 20, now: 1 << 20, anonymous: 1000 << 10 };
        assert_eq!(Resident::parse(text), Some(expected));
        assert_eq!(Resident::parse("Name:\tx\n"), None);
        assert!(Resident::of(std::process::id()).is_ok_and(|look| look.peak >= look.now));
    }
}
