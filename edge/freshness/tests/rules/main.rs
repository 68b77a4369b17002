//! The rules by table, each under the section it follows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod age_and_lifetime;
mod conditions;
mod control;
mod hop_and_update;
mod invalidation;
mod multipart;
mod never_panics;
mod ranges;
mod stale;
mod status;
mod storability;
mod vary;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_edge_freshness::date;

/// The time at which responses come: 2026-11-20 12:00:00, Unix seconds.
const NOW: u64 = 1_795_176_000;

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

/// A date field's value, seconds from now.
fn at(seconds: i64) -> String {
    date::format(NOW.saturating_add_signed(seconds)).to_str().unwrap().to_owned()
}
