//! When a stale stored response may answer all the same (RFC 9111 §4.2.4, RFC 5861).

use http::HeaderMap;

use crate::{
    control::{RequestControl, response_control},
    lifetime::{Freshness, Lifetime},
};

/// Why a stale response would be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// None: it is asked for anew behind the answer (RFC 5861 §3).
    Revalidating,
    /// Upstream answered 500, 502, 503 or 504 (RFC 5861 §4).
    ServerError,
    /// No upstream answered at all: the cache is disconnected (RFC 9111 §4.2.4).
    Unreachable,
}

/// For how long past its freshness a stored response may be used, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Windows {
    /// While it is asked for anew.
    pub revalidating_millis: u64,
    /// Instead of a server's error.
    pub server_error_millis: u64,
    /// While no upstream can be reached.
    pub unreachable_millis: u64,
}

impl Windows {
    /// From the stored response's fields. `unreachable_millis` is the service's own bound on
    /// serving while disconnected, which needs no word of the origin's.
    pub fn of(stored: &HeaderMap, unreachable_millis: u64) -> Self {
        let (control, _) = response_control(stored);
        let millis = |seconds: u64| seconds.saturating_mul(1000);
        let on_error = control.stale_if_error.map(millis);
        Self {
            revalidating_millis: control.stale_while_revalidate.map_or(0, millis),
            server_error_millis: on_error.unwrap_or(0),
            // A server that is not there is an error, too, and the origin's word goes first.
            unreachable_millis: on_error.unwrap_or(unreachable_millis),
        }
    }

    /// The window for a trouble.
    pub fn on(&self, trouble: Trouble) -> u64 {
        match trouble {
            Trouble::Revalidating => self.revalidating_millis,
            Trouble::ServerError => self.server_error_millis,
            Trouble::Unreachable => self.unreachable_millis,
        }
    }
}

/// RFC 9111 §4.2.4 [stale.allowed]: whether a stored response may answer a request now although
/// it may be stale. What is fresh
/// may, unless the request refuses it.
pub fn may_serve_stale(
    lifetime: &Lifetime,
    windows: &Windows,
    request: &RequestControl,
    trouble: Trouble,
    now_millis: u64,
) -> bool {
    // §5.2.1.4; and a client that bounds the age gets nothing stale without need.
    if request.no_cache || (trouble == Trouble::Revalidating && request.bounds_age()) {
        return false;
    }
    match lifetime.freshness(now_millis) {
        Freshness::Fresh { .. } => true,
        // RFC 9111 §4.2.4 [stale.prohibited]: no-cache, must-revalidate and, for a shared
        // cache, s-maxage and proxy-revalidate: not even while disconnected.
        Freshness::MustRevalidate => false,
        Freshness::Stale { by_millis } => {
            // RFC 5861 §4: a request may allow it, too.
            let asked = match trouble {
                Trouble::Revalidating => 0,
                _ => request.stale_if_error.unwrap_or(0).saturating_mul(1000),
            };
            let window = windows.on(trouble).max(asked);
            window > 0 && by_millis <= window
        }
    }
}
