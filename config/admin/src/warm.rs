//! Warming: what shall be fetched ahead of demand, and how far that is.

use serde::{Deserialize, Serialize};

/// Which renditions of a playlist are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ladder {
    /// All of them.
    #[default]
    All,
    /// The rung of the highest bandwidth, with what is heard and read beside it.
    Top,
}

/// Body of `POST /v1/cache/warm`, 8 MiB at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmRequest {
    /// What to fetch, as clients would ask for it, with or without a token. A playlist stands
    /// for all that it lists.
    pub urls: Vec<String>,
    /// Which renditions of playlists.
    #[serde(default)]
    pub ladder: Ladder,
    /// Bits in a second that may come from upstreams for it, on average; none is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bits: Option<u64>,
    /// Pin what is fetched.
    #[serde(default)]
    pub pin: bool,
}

/// Body of `POST /v1/cache/warm/cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmCancel {
    /// The job.
    pub job: u64,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmState {
    /// Under way.
    Running,
    /// Everything was tried.
    Done,
    /// Somebody cancelled it, or the server ends.
    Cancelled,
}

/// One URL that was not fetched, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmNote {
    /// The URL, its token redacted; what a playlist has in its place where that is none.
    pub url: String,
    /// Why, in a line.
    pub why: String,
}

/// Answer to `GET /v1/cache/warm?job=ID`, and to the requests that begin and cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmJob {
    /// Its number, since the server started.
    pub job: u64,
    /// Where it stands.
    pub state: WarmState,
    /// The first URL it was given, its token redacted.
    pub url: String,
    /// URLs it was given.
    pub urls: u64,
    /// Which renditions.
    pub ladder: Ladder,
    /// Its bound, bits in a second.
    pub rate_bits: Option<u64>,
    /// Whether it pins.
    pub pin: bool,
    /// When it began, Unix seconds.
    pub began: u64,
    /// Milliseconds that it runs, or ran.
    pub elapsed_ms: u64,
    /// Objects found so far: the URLs, and what their playlists list.
    pub objects: u64,
    /// Objects among these that were fetched, wholly or in part.
    pub fetched: u64,
    /// Bytes that came from upstreams for it.
    pub fetched_bytes: u64,
    /// Objects that were here and fresh already, or on their way for others.
    pub had: u64,
    /// Bytes of these.
    pub had_bytes: u64,
    /// Objects that could not be fetched.
    pub failed: u64,
    /// Entries that were left out.
    pub skipped: u64,
    /// Playlists among the objects.
    pub playlists: u64,
    /// Playlists among these that will list more later: they were read once.
    pub live: u64,
    /// Objects that were pinned.
    pub pinned: u64,
    /// Whether it is on disk now; without disks it is in RAM only, while there is room.
    pub on_disk: bool,
    /// The first that failed, at most a hundred.
    pub failures: Vec<WarmNote>,
    /// The first that were left out, at most a hundred.
    pub skips: Vec<WarmNote>,
}

/// Answer to `GET /v1/cache/warm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmJobs {
    /// Those that run, and the last that ended; newest first. Without notes.
    pub jobs: Vec<WarmJob>,
}

impl WarmJob {
    /// Objects that nothing is to be done for any more.
    pub fn settled(&self) -> u64 {
        self.fetched + self.had + self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::{Ladder, WarmRequest};

    #[test]
    fn requests() {
        let read: WarmRequest = serde_json::from_str(r#"{"urls":["https://h/a"]}"#).unwrap();
        assert_eq!((read.ladder, read.rate_bits, read.pin), (Ladder::All, None, false));
        let read: WarmRequest =
            serde_json::from_str(r#"{"urls":[],"ladder":"top","rate_bits":5,"pin":true}"#).unwrap();
        assert_eq!((read.ladder, read.rate_bits, read.pin), (Ladder::Top, Some(5), true));
        assert!(serde_json::from_str::<WarmRequest>(r#"{"urls":[],"ladder":"low"}"#).is_err());
        assert!(serde_json::from_str::<WarmRequest>(r#"{"urls":[],"rate":5}"#).is_err());
    }
}
