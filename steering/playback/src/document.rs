//! The document itself.

use std::fmt;

use serde::Serialize;

/// Most pathways of a document.
pub const PATHWAYS_MAX: usize = 8;
/// Longest name of a pathway, bytes.
pub const PATHWAY_MAX: usize = 64;
/// Longest RELOAD-URI, bytes.
pub const URI_MAX: usize = 4096;
/// Longest time between two questions, seconds.
pub const TTL_MAX: u32 = 300;
/// No player is told to ask more often, whatever is configured.
const TTL_MIN: u32 = 5;

/// How soon players shall ask again, seconds. The time to live is what bounds how long a player
/// stays on a node that is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// While all is well.
    pub calm: u32,
    /// While something near is in trouble.
    pub stress: u32,
    /// Share of the time that is drawn by chance, in hundredths, so that players which began
    /// together do not ask together for ever.
    pub jitter: u8,
}

impl Default for Pace {
    fn default() -> Self {
        Self { calm: 60, stress: 10, jitter: 20 }
    }
}

/// The time to live for a session: between `1 - jitter` and all of what the pace says, by a number
/// that the session draws. Longer than the pace it is never: a drain counts on it.
pub fn ttl(pace: Pace, stress: bool, draw: u64) -> u32 {
    let whole = if stress { pace.stress } else { pace.calm }.clamp(TTL_MIN, TTL_MAX);
    let spread = whole * u32::from(pace.jitter.min(90)) / 100;
    let lot = ((u128::from(draw) * u128::from(spread + 1)) >> 64) as u32;
    (whole - lot).max(TTL_MIN)
}

/// Why a document cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing to choose from.
    #[error("it has no pathway")]
    Empty,
    /// More than any player tries.
    #[error("it has {0} pathways, at most {PATHWAYS_MAX} are taken")]
    TooMany(usize),
    /// A name that playlists could not carry.
    #[error("pathway `{0}`: an id is 1 to {PATHWAY_MAX} of A-Z, a-z, 0-9, `-`, `_` and `.`")]
    Pathway(String),
    /// One that stands there already.
    #[error("pathway `{0}` is there twice")]
    Twice(String),
    /// Shaka stops at it, and hls.js nests it.
    #[error("RELOAD-URI `{0}` is not absolute (http or https), or too long")]
    Reload(String),
}

/// A steering document. What it says is checked when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub struct Document {
    version: u8,
    ttl: u32,
    reload_uri: String,
    pathway_priority: Vec<String>,
}

impl Document {
    /// Of pathways in their order, the best first. `reload` is where the player asks next.
    pub fn new<'a>(
        pathways: impl IntoIterator<Item = &'a str>,
        ttl: u32,
        reload: &str,
    ) -> Result<Self, DocumentError> {
        let mut order: Vec<String> = Vec::new();
        for pathway in pathways {
            if !is_pathway(pathway) {
                let shown = pathway.chars().take(PATHWAY_MAX).collect();
                return Err(DocumentError::Pathway(shown));
            }
            if order.iter().any(|known| known == pathway) {
                return Err(DocumentError::Twice(pathway.to_owned()));
            }
            order.push(pathway.to_owned());
        }
        match order.len() {
            0 => return Err(DocumentError::Empty),
            1..=PATHWAYS_MAX => {}
            many => return Err(DocumentError::TooMany(many)),
        }
        let rest = reload.strip_prefix("https://").or(reload.strip_prefix("http://"));
        let graphic = reload.bytes().all(|byte| byte.is_ascii_graphic());
        let absolute = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !absolute || !graphic || reload.len() > URI_MAX {
            return Err(DocumentError::Reload(reload.chars().take(100).collect()));
        }
        Ok(Self {
            version: 1,
            ttl: ttl.clamp(TTL_MIN, TTL_MAX),
            reload_uri: reload.to_owned(),
            pathway_priority: order,
        })
    }

    /// When the player asks again, seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The pathways in their order.
    pub fn pathways(&self) -> &[String] {
        &self.pathway_priority
    }
}

impl fmt::Display for Document {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Whether `text` may name a pathway: a quoted string of a playlist, a `serviceLocation` of a
/// manifest, and a member of DASH's lists without a comma or a quote of its own.
pub(crate) fn is_pathway(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=PATHWAY_MAX).contains(&text.len()) && text.bytes().all(letter)
}
