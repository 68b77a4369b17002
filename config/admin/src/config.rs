//! What a server was told, and how it is told anew.

use serde::{Deserialize, Serialize};

/// Answer to `GET /v1/config`: what holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// The main file.
    pub file: String,
    /// How it stands.
    pub summary: ConfigSummary,
    /// Every key, in the order of the document; secrets are not shown.
    pub entries: Vec<ConfigEntry>,
}

/// One key and what holds for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// `service[film].default_ttl`
    pub key: String,
    /// As TOML; in words and brackets where a default depends on something else.
    pub value: String,
    /// `edge.toml:17:10`, `$WEIR_EDGE__FILL__DEADLINE` or `default`.
    pub origin: String,
    /// When a change takes effect: `live`, `new-connections` or `restart`.
    pub class: String,
}

/// How the configuration of a server stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSummary {
    /// Number of what runs; counted over restarts.
    pub revision: u64,
    /// When it was taken, Unix milliseconds.
    pub since_unix_ms: u64,
    /// Keys that the last reload found changed and that wait for a restart.
    #[serde(default)]
    pub restart: Vec<String>,
    /// Why the last reload was refused, in a line; nothing after one that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What runs is a revision that was gone back to, and not what the files say.
    #[serde(default)]
    pub rolled_back: bool,
}

/// Body of `POST /v1/config/reload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOrder {
    /// Read, check and prove everything, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Body of `POST /v1/config/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackOrder {
    /// The revision to go back to.
    pub revision: u64,
    /// Check and prove everything, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// Taken, as a whole.
    Applied,
    /// Nothing was different; certificates and keys were read again.
    Unchanged,
    /// Nothing was changed.
    Refused,
}

/// Answer to a reload or rollback, when everything has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// What became of it; of a dry run, what would.
    pub outcome: ReloadOutcome,
    /// Whether nothing was to be changed anyway.
    pub dry_run: bool,
    /// What runs now.
    pub revision: u64,
    /// What was changed, for the next request or connection.
    pub applied: Vec<ConfigChange>,
    /// What differs and was kept as it runs, until the next start.
    pub restart: Vec<ConfigChange>,
    /// Certificates that are served, each proved by a handshake.
    pub certificates: u64,
    /// Of these, whose file is another one than before.
    pub new_certificates: u64,
    /// What else is worth knowing, a line each.
    pub notes: Vec<String>,
    /// Why it was refused: a report for people, every mistake with its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One key whose value is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// `service[film].default_ttl`
    pub key: String,
    /// What ran; nothing where the key is new.
    pub from: Option<String>,
    /// What is said now; nothing where it is not said any more.
    pub to: Option<String>,
    /// Where it is said.
    pub origin: Option<String>,
    /// `live`, `new-connections` or `restart`.
    pub class: String,
}

/// Answer to `GET /v1/config/history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigHistory {
    /// What runs.
    pub running: u64,
    /// Revisions that are kept.
    pub revisions: Vec<ConfigRevision>,
}

/// One configuration that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRevision {
    /// Its number.
    pub revision: u64,
    /// When it was taken, Unix milliseconds.
    pub unix_ms: u64,
    /// `start`, `SIGHUP`, `cachectl`, `rollback to 7`.
    pub cause: String,
    /// What it changed, in the words of its keys.
    pub changed: Vec<String>,
    /// Its files: the main one, then those of `conf.d`.
    pub files: Vec<String>,
}
