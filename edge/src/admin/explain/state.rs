//! Whether what is stored answers a request now: the rules of `edge/freshness` in words.

use std::time::Duration;

use http::{HeaderMap, header};
use weir_config_admin::{CacheVerdict, Tier};
use weir_edge_cache::StoredObject;
use weir_edge_freshness::{
    EntityTag, Flags, Freshness, Lifetime, RequestControl, Trouble, Windows, may_serve_stale,
};

/// What decides.
pub(super) struct State<'a> {
    pub(super) object: &'a StoredObject,
    pub(super) headers: &'a HeaderMap,
    pub(super) control: &'a RequestControl,
    pub(super) tier: Tier,
    pub(super) stale_if_error: Duration,
    pub(super) now_millis: u64,
}

impl State<'_> {
    pub(super) fn verdict(&self) -> (CacheVerdict, String) {
        let lifetime = Lifetime {
            lifetime_millis: self.object.lifetime_millis,
            initial_age_millis: self.object.initial_age_millis,
            response_millis: self.object.response_millis,
            flags: Flags(self.object.flags),
        };
        let freshness = lifetime.freshness(self.now_millis);
        if lifetime.satisfies(self.control, self.now_millis) {
            let how = match freshness {
                Freshness::Fresh { remaining_millis } => {
                    format!("it is fresh for {} more", told(remaining_millis))
                }
                _ => "it is stale, and the request takes that (max-stale)".to_owned(),
            };
            return match self.tier {
                Tier::Memory | Tier::Disk => {
                    (CacheVerdict::Hit, format!("every byte is here, and {how}"))
                }
                Tier::Partial if !self.can_be_completed() => (
                    CacheVerdict::Miss,
                    format!(
                        "{how}, but some of its bytes have gone and no strong ETag vouches for \
                         others: who asks for these gets all of it anew"
                    ),
                ),
                Tier::Partial => (
                    CacheVerdict::Hit,
                    format!("{how}; for the chunks that are missing the upstream is asked"),
                ),
                Tier::None => (
                    CacheVerdict::Miss,
                    format!("its fields are known and {how}, but its bytes have gone"),
                ),
            };
        }
        let windows = Windows::of(self.headers, millis(self.stale_if_error));
        let may =
            |trouble| may_serve_stale(&lifetime, &windows, self.control, trouble, self.now_millis);
        let asks = match self.has_validator() {
            true => "the upstream is asked whether it still holds",
            false => "it is asked for anew, since it has no validator",
        };
        let why = match freshness {
            Freshness::Fresh { .. } => {
                format!("it is fresh, but the request wants a fresher answer: {asks}")
            }
            Freshness::MustRevalidate if lifetime.flags.has(Flags::NO_CACHE) => {
                format!("its origin says no-cache: {asks} before each use")
            }
            Freshness::MustRevalidate => format!(
                "it is stale, and its origin forbids to serve it so (must-revalidate, \
                 proxy-revalidate or s-maxage): {asks}"
            ),
            Freshness::Stale { by_millis } => {
                let left = windows.revalidating_millis.saturating_sub(by_millis);
                if may(Trouble::Revalidating) {
                    format!(
                        "it is served at once, stale, and refreshed behind that: its \
                         stale-while-revalidate allows this for {} more",
                        told(left)
                    )
                } else {
                    let mut why = format!("it is stale by {}: {asks}", told(by_millis));
                    for (trouble, when) in [
                        (Trouble::ServerError, "the upstream answers an error"),
                        (Trouble::Unreachable, "no upstream can be reached"),
                    ] {
                        if may(trouble) {
                            let left = windows.on(trouble).saturating_sub(by_millis);
                            why.push_str(&format!(
                                "; it stands in where {when}, for {} more",
                                told(left)
                            ));
                        }
                    }
                    why
                }
            }
        };
        (CacheVerdict::Stale, why)
    }

    fn can_be_completed(&self) -> bool {
        EntityTag::of(self.headers).is_some_and(|tag| !tag.weak)
    }

    fn has_validator(&self) -> bool {
        self.headers.contains_key(header::ETAG) || self.headers.contains_key(header::LAST_MODIFIED)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn told(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        _ => format!("{} s", millis / 1000),
    }
}
