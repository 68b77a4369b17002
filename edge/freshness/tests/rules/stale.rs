//! RFC 9111 §4.2.4 and RFC 5861: when what is stale may answer.

use http::StatusCode;
use weir_edge_freshness::{Lifetime, RequestControl, Rules, Trouble, Windows, may_serve_stale};

use crate::{NOW, headers};

/// A minute of the service's own for when no upstream can be reached.
const UNREACHABLE: u64 = 60_000;

#[track_caller]
fn check(response: &str, request: &str, trouble: Trouble, age: u64, expected: bool) {
    let stored = headers(&[("cache-control", response)]);
    let came = NOW * 1000;
    let lifetime = Lifetime::of(StatusCode::OK, &stored, came, came, &Rules::default());
    let request = RequestControl::parse(&headers(&[("cache-control", request)]));
    let windows = Windows::of(&stored, UNREACHABLE);
    let may = may_serve_stale(&lifetime, &windows, &request, trouble, came + age);
    assert_eq!(may, expected, "{response:?} {request:?} {trouble:?} at {age}");
}

// RFC 5861 §3
#[test]
fn rfc5861_3_while_it_is_asked_for_anew() {
    use Trouble::Revalidating;
    check("max-age=1, stale-while-revalidate=2", "", Revalidating, 3000, true);
    check("max-age=1, stale-while-revalidate=2", "", Revalidating, 3001, false);
    check("max-age=1, stale-while-revalidate=0", "", Revalidating, 1000, false);
    check("max-age=1", "", Revalidating, 1000, false);
    check("max-age=1, stale-if-error=9", "", Revalidating, 1001, false);
    // A client that wants something newer waits for it.
    for request in ["no-cache", "max-age=0", "min-fresh=1"] {
        check("max-age=1, stale-while-revalidate=9", request, Revalidating, 2000, false);
    }
}

// RFC 5861 §4
#[test]
fn rfc5861_4_instead_of_an_error() {
    use Trouble::{ServerError, Unreachable};
    check("max-age=1, stale-if-error=2", "", ServerError, 3000, true);
    check("max-age=1, stale-if-error=2", "", ServerError, 3001, false);
    check("max-age=1", "", ServerError, 1500, false);
    check("max-age=1", "stale-if-error=2", ServerError, 2999, true);
    check("max-age=1, stale-if-error=999", "", Unreachable, 900_000, true);
}

// RFC 9111 §4.2.4 [stale.allowed]
#[test]
fn rfc9111_4_2_4_disconnected() {
    use Trouble::Unreachable;
    check("max-age=1", "", Unreachable, 61_000, true);
    check("max-age=1", "", Unreachable, 61_001, false);
    // The origin's own word goes first.
    check("max-age=1, stale-if-error=2", "", Unreachable, 3001, false);
    // Fresh, but not as fresh as the client would have it.
    check("max-age=9", "max-age=1", Unreachable, 2000, true);
    check("max-age=9", "no-cache", Unreachable, 2000, false);
}

// RFC 9111 §4.2.4 [stale.prohibited]
#[test]
fn rfc9111_4_2_4_prohibited() {
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"] {
        let response = format!("max-age=1, {word}, stale-while-revalidate=99, stale-if-error=99");
        for trouble in [Trouble::Revalidating, Trouble::ServerError, Trouble::Unreachable] {
            check(&response, "stale-if-error=99", trouble, 1500, false);
        }
    }
}
