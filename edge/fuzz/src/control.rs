//! One exchange through all caching rules: what is stored, for how long, what it may answer.

use http::{HeaderMap, Method, StatusCode, header};
use weir_edge_freshness::{
    CacheControl, Exchange, Freshness, Lifetime, PassReason, RequestControl, Rules, Storability,
    Targeted, Trouble, Windows, also_invalid, control::SECONDS_MAX, evaluate, if_range_holds,
    may_serve_stale, response_control, storable, strip_hop_by_hop, update, updates, vary,
};

use crate::fields::{halves, parse, prefix};

/// 2026-11-20 12:00:00, Unix milliseconds.
const CAME: u64 = 1_795_176_000_000;

pub(crate) fn run(input: &[u8]) {
    let ([high, low, sooner, later], text) = prefix::<4>(input);
    let code = 100 + (u16::from(high) * 256 + u16::from(low)) % 900;
    let status = StatusCode::from_u16(code).expect("100 to 999 are statuses");
    let (request, response) = halves(text);
    let (request, response) = (parse(request), parse(response));
    let times = [CAME + u64::from(sooner) * 50, CAME + u64::from(later) * 40_000];

    stored(&request, &response, status);
    reused(&request, &response, status, times);
    changed(&request, &response);
    evaluate(&Method::GET, &request, status, &response);
    if_range_holds(&request, &response);
}

fn stored(request: &HeaderMap, response: &HeaderMap, status: StatusCode) {
    let exchange = Exchange {
        method: &Method::GET,
        request,
        status,
        response,
        request_millis: CAME,
        response_millis: CAME,
    };
    let decision = storable(&exchange, &Rules::default());
    let Storability::Store(lifetime) = decision else { return };
    assert!(lifetime.lifetime_millis <= SECONDS_MAX * 1000);
    assert!(!response.contains_key(header::SET_COOKIE), "no cookie of one goes to others");
    let (control, targeted) = response_control(response);
    assert!(!control.private, "private responses are for one");
    assert!(!control.no_store || control.must_understand);
    if targeted == Targeted::None {
        let all = CacheControl::parse(response.get_all(header::CACHE_CONTROL));
        assert_eq!(all, control, "nothing else decides");
    }
    // What is stored for nobody in particular may as well be stored for anybody.
    let anyone = HeaderMap::new();
    let shared = storable(&Exchange { request: &anyone, ..exchange }, &Rules::default());
    assert!(!matches!(shared, Storability::Pass(reason) if reason != PassReason::Useless));
}

fn reused(
    request: &HeaderMap,
    response: &HeaderMap,
    status: StatusCode,
    [sooner, later]: [u64; 2],
) {
    let lifetime = Lifetime::of(status, response, CAME, CAME, &Rules::default());
    let asks = RequestControl::parse(request);
    let (early, late) = (sooner.min(later), sooner.max(later));
    assert!(lifetime.age_millis(early) <= lifetime.age_millis(late), "nothing grows younger");
    let fresh = |now| matches!(lifetime.freshness(now), Freshness::Fresh { .. });
    assert!(fresh(early) || !fresh(late), "nothing grows fresh");
    if lifetime.satisfies(&asks, late) {
        assert!(fresh(late) || asks.max_stale.is_some());
        assert!(!asks.no_cache);
    }
    let windows = Windows::of(response, 10_000);
    for trouble in [Trouble::Revalidating, Trouble::ServerError, Trouble::Unreachable] {
        let may = |now| may_serve_stale(&lifetime, &windows, &asks, trouble, now);
        assert!(may(early) || !may(late), "no window opens again");
        let must = lifetime.freshness(late) == Freshness::MustRevalidate;
        assert!(!(may(late) && must), "must-revalidate holds in every trouble");
    }
}

fn changed(request: &HeaderMap, response: &HeaderMap) {
    let mut stripped = response.clone();
    strip_hop_by_hop(&mut stripped);
    assert!(!stripped.contains_key(header::CONNECTION));
    let mut kept = stripped.clone();
    updates(&kept, request);
    update(&mut kept, request, CAME);
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE] {
        assert_eq!(kept.get(&name), stripped.get(&name), "a 304 says nothing of the bytes");
    }
    for path in also_invalid("http", "host", "/a/b?c", response) {
        assert!(path.starts_with('/'), "{path}");
    }
    if let vary::Selecting::Fields(names) = vary::selecting(response) {
        let key = vary::selected_by(request, &names);
        assert_eq!(key, vary::selected_by(&request.clone(), &names));
        assert_eq!(key.matches('\n').count(), names.len() - 1, "a line for each name");
    }
}
