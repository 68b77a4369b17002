//! Purging: what shall go, what that means, and how far its space is reclaimed.

use serde::{Deserialize, Serialize};

/// Longest tag, bytes: longer ones of a response are not taken.
pub const TAG_BYTES_MAX: usize = 1024;

/// Why no object can have this tag.
pub fn tag_fault(tag: &str) -> Option<String> {
    let tag = tag.trim();
    if tag.is_empty() {
        return Some("it is empty".into());
    }
    if tag.len() > TAG_BYTES_MAX {
        return Some(format!("it has {} bytes, of at most {TAG_BYTES_MAX}", tag.len()));
    }
    if tag.chars().any(char::is_control) {
        return Some("it has control characters".into());
    }
    // Both fields are lists of tags that blanks divide.
    tag.contains(' ')
        .then(|| "it has a blank, which divides tags: purge each tag for itself".into())
}

/// Body of `POST /v1/cache/purge`. Exactly one of `url`, `prefix`, `tag`, `service` and `all`
/// says what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// The URL to remove, as a client would ask for it, with or without its token. Every
    /// variant of it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The beginning of URLs, with scheme and host: any, not only whole folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A tag that upstreams wrote into `Surrogate-Key` or `Cache-Tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The id of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Everything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all: bool,
    /// Keep it, but ask the upstream whether it still holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub soft: bool,
    /// Only tell what would go. Without the field nothing is removed by accident.
    #[serde(default = "dry")]
    pub dry_run: bool,
    /// How many objects it may be: for a purge of more than a tenth of all bytes, which is
    /// refused unless this is right within a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub i_know: Option<u64>,
    /// Purge without having counted how much it is. The answer says 0, and nothing is refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub uncounted: bool,
}

fn dry() -> bool {
    true
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a [`PurgeRequest`] selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeTarget<'a> {
    /// One URL.
    Url(&'a str),
    /// URLs that begin so.
    Prefix(&'a str),
    /// What is tagged so.
    Tag(&'a str),
    /// What a service stored.
    Service(&'a str),
    /// Everything.
    All,
}

impl PurgeRequest {
    /// What it selects; none unless it says exactly one thing.
    pub fn target(&self) -> Option<PurgeTarget<'_>> {
        let said = [
            self.url.as_deref().map(PurgeTarget::Url),
            self.prefix.as_deref().map(PurgeTarget::Prefix),
            self.tag.as_deref().map(PurgeTarget::Tag),
            self.service.as_deref().map(PurgeTarget::Service),
            self.all.then_some(PurgeTarget::All),
        ];
        let mut said = said.into_iter().flatten();
        said.next().filter(|_| said.next().is_none())
    }
}

/// Answer to `POST /v1/cache/purge`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PurgeResult {
    /// Objects that were meant, or would be.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The purge epoch after it.
    pub epoch: u64,
    /// The keys, at most ten.
    #[serde(default)]
    pub sample: Vec<String>,
    /// Whether they are kept as stale.
    #[serde(default)]
    pub soft: bool,
    /// Their share of the bytes of all objects, 0 to 1.
    #[serde(default)]
    pub share: f64,
    /// Whether it is so much that the number of objects has to be named.
    #[serde(default)]
    pub wide: bool,
    /// The numbers are an estimate: there were too many objects to look at all of them.
    #[serde(default)]
    pub estimated: bool,
    /// `node.site` of the server.
    #[serde(default)]
    pub site: String,
}

/// Answer to `GET /v1/cache/purges`. With `?reclaimed=EPOCH` in the query it comes when
/// everything up to that epoch is reclaimed, or after a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purges {
    /// Number of the last purge ever.
    pub epoch: u64,
    /// What was purged up to this number takes no place any more.
    pub reclaimed_epoch: u64,
    /// Purges that stand: whose objects are being reclaimed, or might still be brought by a
    /// fill that began before.
    pub standing: u64,
    /// How many may stand; beyond, purges are refused for a while.
    pub standing_max: u64,
    /// Objects removed since start.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects made stale since start.
    pub stale: u64,
    /// Objects that the reclaim under way has looked at.
    pub walked: u64,
    /// Objects there are to look at.
    pub of: u64,
    /// The oldest that stand, at most a hundred.
    pub oldest: Vec<PurgeOrder>,
}

/// A purge that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeOrder {
    /// Its number.
    pub epoch: u64,
    /// When it came, Unix seconds.
    pub at: u64,
    /// Whether it only makes stale.
    pub soft: bool,
    /// `url`, `prefix`, `tag`, `service` or `all`.
    pub kind: String,
    /// What of that kind; for a URL or a prefix in the form of cache keys.
    pub what: String,
}

#[cfg(test)]
mod tests {
    use super::{PurgeRequest, PurgeTarget};

    /// A body without `dry_run` must not remove anything.
    #[test]
    fn purge_is_dry_unless_told() {
        let read: PurgeRequest = serde_json::from_str(r#"{"url":"https://h/a"}"#).unwrap();
        assert!(read.dry_run);
        assert!(serde_json::from_str::<PurgeRequest>(r#"{"url":"a","dryrun":false}"#).is_err());
    }

    #[test]
    fn exactly_one_thing() {
        let check = |body: &str, target: Option<PurgeTarget<'_>>| {
            let read: PurgeRequest = serde_json::from_str(body).unwrap();
            assert_eq!(read.target(), target, "{body}");
        };
        check(r#"{"url":"u"}"#, Some(PurgeTarget::Url("u")));
        check(r#"{"prefix":"p"}"#, Some(PurgeTarget::Prefix("p")));
        check(r#"{"tag":"t","soft":true}"#, Some(PurgeTarget::Tag("t")));
        check(r#"{"service":"s"}"#, Some(PurgeTarget::Service("s")));
        check(r#"{"all":true}"#, Some(PurgeTarget::All));
        check(r#"{"all":false}"#, None);
        check(r#"{}"#, None);
        check(r#"{"tag":"t","all":true}"#, None);
        check(r#"{"url":"u","prefix":"p"}"#, None);
    }
}
